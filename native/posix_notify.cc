#include "posix_notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace handover::posix {

Status BindNotify(const std::string& name, OwnedFd* socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.empty() || name.size() + 1 > sizeof address.sun_path) return {ENAMETOOLONG, "bind"};
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());

  OwnedFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  Status status = Check(fd.get(), "socket");
  const int on = 1;
  // Before the bind: no message comes without its sender.
  if (status.ok()) status = Check(setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on), "setsockopt");
  if (status.ok()) status = Check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), "bind");
  if (status.ok()) *socket = std::move(fd);
  return status;
}

Status ConnectNotify(const std::string& name, OwnedFd* socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() < 2) return {EINVAL, "connect"};
  // A path ends with its zero byte, an abstract name with its length (unix(7)).
  const bool abstract = name[0] == '@';
  if (name.size() + (abstract ? 0 : 1) > sizeof address.sun_path) return {ENAMETOOLONG, "connect"};
  std::memcpy(address.sun_path, name.data(), name.size());
  if (abstract) address.sun_path[0] = 0;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (abstract ? 0 : 1));

  OwnedFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  Status status = Check(fd.get(), "socket");
  if (status.ok()) status = Check(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), "connect");
  if (status.ok()) *socket = std::move(fd);
  return status;
}

}  // namespace handover::posix
