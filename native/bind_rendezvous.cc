#include <climits>

#include "arguments.h"
#include "bindings.h"
#include "posix_rendezvous.h"

namespace handover {
namespace {

template <Status (*Make)(const std::string&, OwnedFd*)>
Napi::Value AtPath(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.String(0, "path");
  if (arguments.failed()) return {};
  OwnedFd socket;
  const Status status = Make(path, &socket);
  return GiveDescriptor(info.Env(), status, &socket);
}

Napi::Value Listen(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  const int backlog = static_cast<int>(arguments.Integer(1, "backlog", 0, INT_MAX));
  if (arguments.failed()) return {};
  return Done(info.Env(), posix::Listen(fd, backlog));
}

Napi::Value Accept(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  OwnedFd connection;
  const Status status = posix::Accept(fd, &connection);
  if (!status.ok() || connection.get() == -1) return Done(info.Env(), status);
  return GiveDescriptor(info.Env(), status, &connection);
}

}  // namespace

void BindRendezvous(Napi::Object exports) {
  Bind<AtPath<posix::BindPacket>>(exports, "bindPacket");
  Bind<AtPath<posix::ConnectPacket>>(exports, "connectPacket");
  Bind<Listen>(exports, "listen");
  Bind<Accept>(exports, "accept");
}

}  // namespace handover
