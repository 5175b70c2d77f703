#include "posix_rendezvous.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace handover::posix {
namespace {

Status Address(const std::string& path, const char* syscall, sockaddr_un* address) {
  *address = {};
  address->sun_family = AF_UNIX;
  // An empty path would be a name of the kernel's choice.
  if (path.empty()) return {ENOENT, syscall};
  if (path.size() >= sizeof address->sun_path) return {ENAMETOOLONG, syscall};
  std::memcpy(address->sun_path, path.data(), path.size());
  return {};
}

Status Socket(OwnedFd* result) {
  *result = OwnedFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return Check(result->get(), "socket");
}

}  // namespace

Status BindPacket(const std::string& path, OwnedFd* result) {
  sockaddr_un address;
  OwnedFd fd;
  Status status = Address(path, "bind", &address);
  if (status.ok()) status = Socket(&fd);
  // bind(2) makes the path with the mode of the socket, less the umask.
  if (status.ok()) status = Check(fchmod(fd.get(), 0600), "fchmod");
  if (status.ok()) status = Check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  if (status.ok()) *result = std::move(fd);
  return status;
}

Status Listen(int fd, int backlog) { return Check(listen(fd, backlog), "listen"); }

Status Accept(int fd, OwnedFd* connection) {
  const int accepted = Retry([&] { return accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); });
  if (accepted == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNABORTED)) return {};
  *connection = OwnedFd(accepted);
  return Check(accepted, "accept");
}

Status ConnectPacket(const std::string& path, OwnedFd* result) {
  sockaddr_un address;
  OwnedFd fd;
  Status status = Address(path, "connect", &address);
  if (status.ok()) status = Socket(&fd);
  if (status.ok())
    status = Check(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  if (status.ok()) *result = std::move(fd);
  return status;
}

}  // namespace handover::posix
