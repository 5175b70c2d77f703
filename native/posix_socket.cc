#include "posix_socket.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

namespace handover::posix {
namespace {

template <typename Value>
Status GetOption(int fd, int level, int name, Value* value) {
  socklen_t size = sizeof *value;
  return Check(getsockopt(fd, level, name, value, &size), "getsockopt");
}

}  // namespace

Status GetPeerCredentials(int fd, PeerCredentials* credentials) {
  ucred peer{};
  const Status status = GetOption(fd, SOL_SOCKET, SO_PEERCRED, &peer);
  *credentials = {peer.pid, peer.uid, peer.gid};
  return status;
}

Status GetSocketCookie(int fd, uint64_t* cookie) { return GetOption(fd, SOL_SOCKET, SO_COOKIE, cookie); }

Status IsListening(int fd, bool* listening) {
  int value = 0;
  const Status status = GetOption(fd, SOL_SOCKET, SO_ACCEPTCONN, &value);
  *listening = status.ok() && value != 0;
  return status.error == ENOTSOCK || status.error == EBADF ? Status{} : status;
}

Status GetQueueSizes(int fd, QueueSizes* sizes) {
  const Status status = Check(ioctl(fd, SIOCINQ, &sizes->receive), "ioctl");
  if (!status.ok()) return status;
  return Check(ioctl(fd, SIOCOUTQ, &sizes->send), "ioctl");
}

Status GetSocketOptions(int fd, SocketOptions* options) {
  int keep_alive = 0;
  Status status = GetOption(fd, SOL_SOCKET, SO_KEEPALIVE, &keep_alive);
  if (!status.ok()) return status;
  options->keep_alive = keep_alive != 0;

  int no_delay = 0;
  status = GetOption(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay);
  // Not TCP: unix sockets say EOPNOTSUPP, UDP says ENOPROTOOPT.
  if (status.error == EOPNOTSUPP || status.error == ENOPROTOOPT) return {};
  if (!status.ok()) return status;
  options->no_delay = no_delay != 0;
  return GetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, &options->keep_alive_idle_seconds);
}

Status GetReuseAddress(int fd, bool* on) {
  int value = 0;
  const Status status = GetOption(fd, SOL_SOCKET, SO_REUSEADDR, &value);
  *on = value != 0;
  return status;
}

Status SetReuseAddress(int fd, bool on) {
  const int value = on ? 1 : 0;
  return Check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value), "setsockopt");
}

Status GetSocketName(int fd, SocketName* name) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  Status status = Check(getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size), "getsockname");
  if (status.ok()) status = GetOption(fd, SOL_SOCKET, SO_TYPE, &name->type);
  if (!status.ok()) return status;
  name->family = storage.ss_family;
  char text[INET6_ADDRSTRLEN] = "";
  if (name->family == AF_INET) {
    const auto* address = reinterpret_cast<const sockaddr_in*>(&storage);
    name->host = inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    name->port = ntohs(address->sin_port);
  } else if (name->family == AF_INET6) {
    const auto* address = reinterpret_cast<const sockaddr_in6*>(&storage);
    name->host = inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text);
    name->port = ntohs(address->sin6_port);
  } else if (name->family == AF_UNIX) {
    const auto* address = reinterpret_cast<const sockaddr_un*>(&storage);
    // Without a name the size is that of the family alone; an abstract one begins with a zero byte.
    const size_t length = size - offsetof(sockaddr_un, sun_path);
    if (length > 0 && address->sun_path[0] != 0)
      name->path.assign(address->sun_path, strnlen(address->sun_path, length));
  }
  return {};
}

}  // namespace handover::posix
