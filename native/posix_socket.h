#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "status.h"

namespace handover::posix {

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct QueueSizes {
  int receive = 0;
  int send = 0;
};

struct SocketOptions {
  bool no_delay = false;
  bool keep_alive = false;
  int keep_alive_idle_seconds = 0;
};

/// What a socket is bound to. `host` is numeric, `path` that of a unix socket with one.
struct SocketName {
  int family = 0;
  int type = 0;
  std::string host;
  int port = 0;
  std::string path;
};

/// SO_PEERCRED: who made the other end.
Status GetPeerCredentials(int fd, PeerCredentials* credentials);
/// SO_COOKIE: the same through every duplicate of a socket.
Status GetSocketCookie(int fd, uint64_t* cookie);
/// SO_ACCEPTCONN; `listening` is false of what is no socket, or not open, too.
Status IsListening(int fd, bool* listening);
/// SIOCINQ and SIOCOUTQ.
Status GetQueueSizes(int fd, QueueSizes* sizes);
Status GetSocketOptions(int fd, SocketOptions* options);
/// SO_REUSEADDR.
Status GetReuseAddress(int fd, bool* on);
Status SetReuseAddress(int fd, bool on);

/// SO_DOMAIN, SO_TYPE and getsockname(2).
Status GetSocketName(int fd, SocketName* name);

}  // namespace handover::posix
