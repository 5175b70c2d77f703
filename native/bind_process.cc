#include <climits>

#include "arguments.h"
#include "bindings.h"
#include "posix_process.h"

namespace handover {
namespace {

Napi::Value PidfdOpen(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int pid = static_cast<int>(arguments.Integer(0, "pid", 1, INT_MAX));
  if (arguments.failed()) return {};
  OwnedFd pidfd;
  const Status status = posix::PidfdOpen(pid, &pidfd);
  return GiveDescriptor(info.Env(), status, &pidfd);
}

Napi::Value PidfdSignal(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  const int signal = static_cast<int>(arguments.Integer(1, "signal", 0, 64));
  if (arguments.failed()) return {};
  bool alive = false;
  const Status status = posix::PidfdSignal(fd, signal, &alive);
  if (!status.ok()) return Done(info.Env(), status);
  return Napi::Boolean::New(info.Env(), alive);
}

Napi::Value PidfdWait(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  const Napi::Env env = info.Env();
  posix::Exit exit;
  const Status status = posix::PidfdWait(fd, &exit);
  if (!status.ok() || exit.running) return Done(env, status);
  const Napi::Value number = Napi::Number::New(env, exit.status);
  Napi::Object result = Napi::Object::New(env);
  result.Set("code", exit.signalled ? env.Null() : number);
  result.Set("signal", exit.signalled ? number : env.Null());
  return result;
}

Napi::Value DescriptorLimit(const Napi::CallbackInfo& info) {
  posix::Limit limit;
  const Status status = posix::DescriptorLimit(&limit);
  if (!status.ok()) return Done(info.Env(), status);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("soft", static_cast<double>(limit.soft));
  result.Set("hard", static_cast<double>(limit.hard));
  return result;
}

Napi::Value SetDescriptorLimit(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const double soft = arguments.Integer(0, "soft", 0, 9007199254740991);
  if (arguments.failed()) return {};
  return Done(info.Env(), posix::SetDescriptorLimit(static_cast<uint64_t>(soft)));
}

}  // namespace

void BindProcesses(Napi::Object exports) {
  Bind<PidfdOpen>(exports, "pidfdOpen");
  Bind<PidfdSignal>(exports, "pidfdSignal");
  Bind<PidfdWait>(exports, "pidfdWait");
  Bind<DescriptorLimit>(exports, "descriptorLimit");
  Bind<SetDescriptorLimit>(exports, "setDescriptorLimit");
}

}  // namespace handover
