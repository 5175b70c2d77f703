#include "watcher.h"

#include <poll.h>

#include "arguments.h"
#include "bindings.h"

namespace handover {
namespace {

int ToLibuv(int events) { return (events & POLLIN ? UV_READABLE : 0) | (events & POLLOUT ? UV_WRITABLE : 0); }
int FromLibuv(int events) { return (events & UV_READABLE ? POLLIN : 0) | (events & UV_WRITABLE ? POLLOUT : 0); }

Status FromLibuvError(int error, const char* call) { return {-error, call}; }

/// One for each environment: a worker's constructor is not the main thread's.
struct InstanceData {
  Napi::FunctionReference watcher;
};

Napi::Value Watch(const Napi::CallbackInfo& info) {
  return info.Env().GetInstanceData<InstanceData>()->watcher.New({info[0], info[1]});
}

}  // namespace

Napi::Function Watcher::Define(Napi::Env env) {
  return DefineClass(env, "Watcher",
                     {
                         InstanceMethod<&Watcher::Start>("start"),
                         InstanceMethod<&Watcher::Stop>("stop"),
                         InstanceMethod<&Watcher::Close>("close"),
                         InstanceMethod<&Watcher::KeepLoopAlive>("ref"),
                         InstanceMethod<&Watcher::LetLoopEnd>("unref"),
                     });
}

Watcher::Watcher(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Watcher>(info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  const Napi::Function on_ready = arguments.Function(1, "onReady");
  if (arguments.failed()) return;
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    Napi::Error::New(env, "this environment has no event loop").ThrowAsJavaScriptException();
    return;
  }
  auto handle = std::make_unique<PollHandle>();
  const int error = uv_poll_init(loop, &handle->poll, fd);  // nothing to close when it fails
  if (error != 0) {
    ThrowSystemError(env, FromLibuvError(error, "uv_poll_init"));
    return;
  }
  on_ready_ = Napi::Persistent(on_ready);
  context_ = std::make_unique<Napi::AsyncContext>(env, "handover.Watcher");
  handle_ = handle.release();
  handle_->owner = this;
  handle_->poll.data = handle_;
  napi_add_async_cleanup_hook(env, OnEnvironmentExit, handle_, &handle_->hook);
}

// Reached with an open handle when a stopped watcher is collected, or when the constructor of a derived class threw.
Watcher::~Watcher() { Shut(); }

/// What is watched must not be collected: libuv alone would hold it, and the collector does not see libuv.
void Watcher::Pin(bool on) {
  if (pinned_ == on) return;
  pinned_ = on;
  if (on) {
    Ref();
  } else {
    Unref();
  }
}

/// Stops now; the memory goes in OnClosed, a turn of the loop later.
void Watcher::Shut() {
  if (handle_ == nullptr) return;
  PollHandle* handle = handle_;
  handle_ = nullptr;
  handle->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->poll), OnClosed);
  on_ready_.Reset();
  context_.reset();
}

void Watcher::OnEnvironmentExit(napi_async_cleanup_hook_handle, void* data) {
  Watcher* owner = static_cast<PollHandle*>(data)->owner;
  if (owner != nullptr) owner->Shut();  // else it is closing already
}

// The hook stays registered until here: it is what makes the environment wait for this callback before it goes.
void Watcher::OnClosed(uv_handle_t* handle) {
  const std::unique_ptr<PollHandle> closed(static_cast<PollHandle*>(handle->data));
  if (closed->hook != nullptr) napi_remove_async_cleanup_hook(closed->hook);
}

void Watcher::OnPoll(uv_poll_t* poll, int status, int events) {
  Watcher* owner = static_cast<PollHandle*>(poll->data)->owner;
  if (owner == nullptr) return;
  if (status == 0) return owner->Notify(FromLibuv(events));
  // libuv stops at POLLERR, and calls it EBADF. A socket's error is cleared by the call that reports it, and messages
  // may be queued behind it: so go on watching, as poll(2) does, and say that what was asked for is possible.
  const int wanted = owner->wanted_;
  uv_poll_start(poll, ToLibuv(wanted), OnPoll);
  owner->Notify(wanted | POLLERR);
}

void Watcher::Notify(int events) {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  const Napi::Object self = Value();  // the callback may close and drop this watcher
  const napi_value argument = Napi::Number::New(env, events);
  // Not FunctionReference::MakeCallback: when a worker is terminated in the callback there is no exception, and none
  // can be thrown, which it takes for a fatal error.
  napi_make_callback(env, *context_, self, on_ready_.Value(), 1, &argument, nullptr);
  // Nobody is below this callback who could catch: an exception is an uncaught one.
  bool pending = false;
  napi_value exception = nullptr;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

Napi::Value Watcher::Start(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int events = static_cast<int>(arguments.Integer(0, "events", 1, POLLIN | POLLOUT));
  if (!arguments.failed() && (events & ~(POLLIN | POLLOUT)) != 0) {
    arguments.Reject(Napi::TypeError::New(info.Env(), "events must be POLLIN, POLLOUT or both"));
  }
  if (!arguments.failed() && handle_ == nullptr) {
    arguments.Reject(Napi::Error::New(info.Env(), "the watcher is closed"));
  }
  if (arguments.failed()) return {};
  const int error = uv_poll_start(&handle_->poll, ToLibuv(events), OnPoll);
  if (error != 0) return Done(info.Env(), FromLibuvError(error, "uv_poll_start"));
  wanted_ = events;
  Pin(true);
  return info.Env().Undefined();
}

Napi::Value Watcher::Stop(const Napi::CallbackInfo& info) {
  if (handle_ != nullptr) uv_poll_stop(&handle_->poll);
  Pin(false);
  return info.Env().Undefined();
}

Napi::Value Watcher::Close(const Napi::CallbackInfo& info) {
  Shut();
  Pin(false);
  return info.Env().Undefined();
}

Napi::Value Watcher::KeepLoopAlive(const Napi::CallbackInfo& info) {
  if (handle_ != nullptr) uv_ref(reinterpret_cast<uv_handle_t*>(&handle_->poll));
  return info.Env().Undefined();
}

Napi::Value Watcher::LetLoopEnd(const Napi::CallbackInfo& info) {
  if (handle_ != nullptr) uv_unref(reinterpret_cast<uv_handle_t*>(&handle_->poll));
  return info.Env().Undefined();
}

void BindWatcher(Napi::Object exports) {
  const Napi::Env env = exports.Env();
  auto* data = new InstanceData{Napi::Persistent(Watcher::Define(env))};
  env.SetInstanceData(data);
  Bind<Watch>(exports, "watch");
}

}  // namespace handover
