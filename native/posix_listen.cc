#include "posix_listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>

namespace handover::posix {
namespace {

Status SetFlag(int fd, int level, int name, bool on) {
  const int value = on ? 1 : 0;
  return Check(setsockopt(fd, level, name, &value, sizeof value), "setsockopt");
}

}  // namespace

Status ListenTcp(const char* address, uint16_t port, int backlog, bool ipv6_only, OwnedFd* listener) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  // Not inet_pton: a link-local address carries its interface (fe80::1%eth0).
  if (getaddrinfo(address, std::to_string(port).c_str(), &hints, &found) != 0) return {EINVAL, "getaddrinfo"};
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);

  OwnedFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  Status status = Check(fd.get(), "socket");
  if (status.ok()) status = SetFlag(fd.get(), SOL_SOCKET, SO_REUSEADDR, true);
  if (status.ok() && found->ai_family == AF_INET6) {
    status = SetFlag(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, ipv6_only);
  }
  if (status.ok()) status = Check(bind(fd.get(), found->ai_addr, found->ai_addrlen), "bind");
  if (status.ok()) status = Check(listen(fd.get(), backlog), "listen");
  if (status.ok()) *listener = std::move(fd);
  return status;
}

}  // namespace handover::posix
