#pragma once

#include <string>

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

/// A datagram socket under an abstract name (unix(7), without the leading zero byte): non-blocking, close-on-exec. The
/// kernel says of each message who sent it (SO_PASSCRED). No path: nothing is left behind.
Status BindNotify(const std::string& name, OwnedFd* socket);

}  // namespace handover::posix
