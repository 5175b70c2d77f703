#pragma once

#include <cstdint>

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

/// A TCP listener on a numeric address: SO_REUSEADDR, non-blocking, close-on-exec. EINVAL when the address is a name.
Status ListenTcp(const char* address, uint16_t port, int backlog, bool ipv6_only, OwnedFd* listener);

}  // namespace handover::posix
