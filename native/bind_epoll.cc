#include <climits>

#include "arguments.h"
#include "bindings.h"
#include "posix_epoll.h"

namespace handover {
namespace {

Napi::Value EpollSet(const Napi::CallbackInfo& info) {
  OwnedFd set;
  const Status status = posix::EpollSet(&set);
  return GiveDescriptor(info.Env(), status, &set);
}

template <Status (*Call)(int, int)>
Napi::Value OnMember(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int set = arguments.Descriptor(0, "set");
  const int fd = arguments.Descriptor(1, "fd");
  if (arguments.failed()) return {};
  return Done(info.Env(), Call(set, fd));
}

Napi::Value EpollReady(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int set = arguments.Descriptor(0, "set");
  const int most = static_cast<int>(arguments.Integer(1, "most", 1, 4096));
  if (arguments.failed()) return {};
  std::vector<int> ready;
  const Status status = posix::EpollReady(set, most, &ready);
  if (!status.ok()) return Done(info.Env(), status);
  Napi::Array result = Napi::Array::New(info.Env(), ready.size());
  for (uint32_t index = 0; index < ready.size(); index++) result.Set(index, ready[index]);
  return result;
}

}  // namespace

void BindEpoll(Napi::Object exports) {
  Bind<EpollSet>(exports, "epollSet");
  Bind<OnMember<posix::EpollAdd>>(exports, "epollAdd");
  Bind<OnMember<posix::EpollRemove>>(exports, "epollRemove");
  Bind<OnMember<posix::EpollMute>>(exports, "epollMute");
  Bind<OnMember<posix::EpollUnmute>>(exports, "epollUnmute");
  Bind<EpollReady>(exports, "epollReady");
}

}  // namespace handover
