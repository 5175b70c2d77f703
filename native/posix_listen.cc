#include "posix_listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <memory>
#include <string>

namespace handover::posix {
namespace {

Status SetFlag(int fd, int level, int name, bool on) {
  const int value = on ? 1 : 0;
  return Check(setsockopt(fd, level, name, &value, sizeof value), "setsockopt");
}

using Address = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

/// Not inet_pton: a link-local address carries its interface (fe80::1%eth0).
Status Numeric(const char* address, uint16_t port, int type, Address* result) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = type;
  addrinfo* found = nullptr;
  if (getaddrinfo(address, std::to_string(port).c_str(), &hints, &found) != 0) return {EINVAL, "getaddrinfo"};
  result->reset(found);
  return {};
}

Status Socket(int family, int type, OwnedFd* result) {
  OwnedFd fd(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const Status status = Check(fd.get(), "socket");
  if (status.ok()) *result = std::move(fd);
  return status;
}

}  // namespace

Status ListenTcp(const char* address, uint16_t port, int backlog, bool ipv6_only, OwnedFd* listener) {
  Address found(nullptr, freeaddrinfo);
  Status status = Numeric(address, port, SOCK_STREAM, &found);
  if (!status.ok()) return status;

  OwnedFd fd;
  status = Socket(found->ai_family, SOCK_STREAM, &fd);
  if (status.ok()) status = SetFlag(fd.get(), SOL_SOCKET, SO_REUSEADDR, true);
  if (status.ok() && found->ai_family == AF_INET6) {
    status = SetFlag(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, ipv6_only);
  }
  if (status.ok()) status = Check(bind(fd.get(), found->ai_addr, found->ai_addrlen), "bind");
  if (status.ok()) status = Check(listen(fd.get(), backlog), "listen");
  if (status.ok()) *listener = std::move(fd);
  return status;
}

Status BindUdp(const char* address, uint16_t port, const UdpOptions& options, OwnedFd* result) {
  Address found(nullptr, freeaddrinfo);
  Status status = Numeric(address, port, SOCK_DGRAM, &found);
  if (!status.ok()) return status;

  OwnedFd fd;
  status = Socket(found->ai_family, SOCK_DGRAM, &fd);
  if (status.ok() && options.reuse_address) status = SetFlag(fd.get(), SOL_SOCKET, SO_REUSEADDR, true);
  if (status.ok() && options.reuse_port) status = SetFlag(fd.get(), SOL_SOCKET, SO_REUSEPORT, true);
  if (status.ok() && found->ai_family == AF_INET6) {
    status = SetFlag(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only);
  }
  if (status.ok()) status = Check(bind(fd.get(), found->ai_addr, found->ai_addrlen), "bind");
  if (status.ok()) *result = std::move(fd);
  return status;
}

Status ListenUnix(const std::string& path, int backlog, int mode, OwnedFd* listener) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // An empty path would be a name of the kernel's choice.
  if (path.empty()) return {ENOENT, "bind"};
  if (path.size() >= sizeof address.sun_path) return {ENAMETOOLONG, "bind"};
  std::memcpy(address.sun_path, path.data(), path.size());

  OwnedFd fd;
  Status status = Socket(AF_UNIX, SOCK_STREAM, &fd);
  // bind(2) makes the path with the mode of the socket, less the umask; what the umask took is given back before
  // listen(2), and until then nobody can connect.
  if (status.ok() && mode >= 0) status = Check(fchmod(fd.get(), static_cast<mode_t>(mode)), "fchmod");
  if (status.ok()) {
    status = Check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  }
  if (!status.ok()) return status;
  if (mode >= 0) status = Check(chmod(path.c_str(), static_cast<mode_t>(mode)), "chmod");
  if (status.ok()) status = Check(listen(fd.get(), backlog), "listen");
  if (status.ok()) {
    *listener = std::move(fd);
  } else {
    unlink(path.c_str());
  }
  return status;
}

}  // namespace handover::posix
