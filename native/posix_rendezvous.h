#pragma once

#include <string>

#include "owned_fd.h"
#include "status.h"

/// A path under which a process can be found again: bound by one, listened to by another, connected to by a third.
namespace handover::posix {

/// A SEQPACKET socket bound to a path of mode 0600, not listening: non-blocking, close-on-exec. What is at the path
/// already is EADDRINUSE.
Status BindPacket(const std::string& path, OwnedFd* socket);
/// listen(2): whoever connects sees this process' credentials from now on.
Status Listen(int fd, int backlog);
/// Non-blocking, close-on-exec; without a descriptor when nobody waits.
Status Accept(int fd, OwnedFd* connection);
/// ECONNREFUSED when nobody listens there, EAGAIN when too many wait already.
Status ConnectPacket(const std::string& path, OwnedFd* socket);

}  // namespace handover::posix
