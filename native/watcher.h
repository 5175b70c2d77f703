#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>

namespace handover {

class Watcher;

/// The part of a watcher that libuv owns from uv_poll_init to its close callback, which may come after the JavaScript
/// object is gone, or before, when the environment (a worker, the process) is torn down.
struct PollHandle {
  uv_poll_t poll;
  napi_async_cleanup_hook_handle hook = nullptr;
  Watcher* owner = nullptr;
};

class Watcher : public Napi::ObjectWrap<Watcher> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit Watcher(const Napi::CallbackInfo& info);
  ~Watcher() override;

 private:
  Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value Stop(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value KeepLoopAlive(const Napi::CallbackInfo& info);
  Napi::Value LetLoopEnd(const Napi::CallbackInfo& info);

  static void OnPoll(uv_poll_t* poll, int status, int events);
  static void OnEnvironmentExit(napi_async_cleanup_hook_handle hook, void* data);
  static void OnClosed(uv_handle_t* handle);

  void Notify(int events);
  void Pin(bool on);
  void Shut();

  PollHandle* handle_ = nullptr;  // null once closed
  Napi::FunctionReference on_ready_;
  std::unique_ptr<Napi::AsyncContext> context_;
  int wanted_ = 0;  // POLLIN | POLLOUT
  bool pinned_ = false;
};

}  // namespace handover
