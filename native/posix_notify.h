#pragma once

#include <string>

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

/// A datagram socket under an abstract name (unix(7), without the leading zero byte): non-blocking, close-on-exec. The
/// kernel says of each message who sent it (SO_PASSCRED). No path: nothing is left behind.
Status BindNotify(const std::string& name, OwnedFd* socket);

/// A datagram socket whose messages go to that address, as NOTIFY_SOCKET has it: a path, or an abstract name behind
/// "@".
Status ConnectNotify(const std::string& address, OwnedFd* socket);

}  // namespace handover::posix
