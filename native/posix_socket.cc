#include "posix_socket.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

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

}  // namespace handover::posix
