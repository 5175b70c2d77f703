#pragma once

#include <cstdint>
#include <string>

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

/// A TCP listener on a numeric address: SO_REUSEADDR, non-blocking, close-on-exec. EINVAL when the address is a name.
Status ListenTcp(const char* address, uint16_t port, int backlog, bool ipv6_only, OwnedFd* listener);

struct UdpOptions {
  bool ipv6_only = false;
  bool reuse_address = false;
  bool reuse_port = false;
};

/// A UDP socket bound to a numeric address: non-blocking, close-on-exec. EINVAL when the address is a name.
Status BindUdp(const char* address, uint16_t port, const UdpOptions& options, OwnedFd* result);

/// A listener on a path: non-blocking, close-on-exec. `mode` of the path, or -1: as the umask has it. What is at the
/// path already is EADDRINUSE, a path of 108 bytes or more ENAMETOOLONG.
Status ListenUnix(const std::string& path, int backlog, int mode, OwnedFd* listener);

}  // namespace handover::posix
