#include <climits>

#include "arguments.h"
#include "bindings.h"
#include "posix_descriptor.h"
#include "posix_memory.h"

namespace handover {
namespace {

Napi::Value Duplicate(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  OwnedFd duplicate;
  const Status status = posix::Duplicate(fd, &duplicate);
  return GiveDescriptor(info.Env(), status, &duplicate);
}

Napi::Value Close(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  return Done(info.Env(), posix::Close(fd));
}

Napi::Value SetCloseOnExec(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  const bool on = arguments.Boolean(1, "on");
  if (arguments.failed()) return {};
  return Done(info.Env(), posix::SetCloseOnExec(fd, on));
}

Napi::Value IsCloseOnExec(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  bool on = false;
  const Status status = posix::IsCloseOnExec(fd, &on);
  if (!status.ok()) return Done(info.Env(), status);
  return Napi::Boolean::New(info.Env(), on);
}

Napi::Value Poll(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::vector<int> fds = arguments.Descriptors(0, "descriptors");
  const std::vector<int> events = arguments.Integers(1, "events", 0, SHRT_MAX);
  const int timeout_ms = static_cast<int>(arguments.Integer(2, "timeoutMs", -1, INT_MAX));
  if (fds.size() != events.size()) {
    arguments.Reject(Napi::RangeError::New(info.Env(), "events must have one entry for each descriptor"));
  }
  if (arguments.failed()) return {};
  std::vector<pollfd> descriptors;
  for (size_t index = 0; index < fds.size(); index++) {
    descriptors.push_back({fds[index], static_cast<short>(events[index]), 0});
  }
  const Status status = posix::Poll(&descriptors, timeout_ms);
  if (!status.ok()) return Done(info.Env(), status);
  Napi::Array revents = Napi::Array::New(info.Env(), descriptors.size());
  for (uint32_t index = 0; index < descriptors.size(); index++) revents.Set(index, descriptors[index].revents);
  return revents;
}

Napi::Value GrowDescriptorTable(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int count = static_cast<int>(arguments.Integer(0, "count", 1, INT_MAX));
  if (arguments.failed()) return {};
  return Done(info.Env(), posix::GrowDescriptorTable(count));
}

Napi::Value TryLock(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  bool locked = false;
  const Status status = posix::TryLock(fd, &locked);
  if (!status.ok()) return Done(info.Env(), status);
  return Napi::Boolean::New(info.Env(), locked);
}

Napi::Value MemoryFile(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string name = arguments.String(0, "name");
  if (arguments.failed()) return {};
  OwnedFd file;
  const Status status = posix::MemoryFile(name.c_str(), &file);
  return GiveDescriptor(info.Env(), status, &file);
}

Napi::Value Seal(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  return Done(info.Env(), posix::Seal(fd));
}

Napi::Value IsSealed(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  bool sealed = false;
  const Status status = posix::IsSealed(fd, &sealed);
  if (!status.ok()) return Done(info.Env(), status);
  return Napi::Boolean::New(info.Env(), sealed);
}

}  // namespace

Napi::Value GiveDescriptor(Napi::Env env, Status status, OwnedFd* fd) {
  if (!status.ok()) return Done(env, status);
  const Napi::Value number = Napi::Number::New(env, fd->get());
  if (!number.IsEmpty()) fd->Release();
  return number;
}

void BindDescriptors(Napi::Object exports) {
  Bind<Duplicate>(exports, "duplicate");
  Bind<Close>(exports, "close");
  Bind<SetCloseOnExec>(exports, "setCloseOnExec");
  Bind<IsCloseOnExec>(exports, "isCloseOnExec");
  Bind<Poll>(exports, "poll");
  Bind<GrowDescriptorTable>(exports, "growDescriptorTable");
  Bind<TryLock>(exports, "tryLock");
  Bind<MemoryFile>(exports, "memfd");
  Bind<Seal>(exports, "seal");
  Bind<IsSealed>(exports, "isSealed");
}

}  // namespace handover
