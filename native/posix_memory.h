#pragma once

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

/// An anonymous file, close-on-exec, that can be sealed.
Status MemoryFile(const char* name, OwnedFd* file);

/// No more writing, growing, shrinking, and no more seals.
Status Seal(int fd);

/// True when all four seals are there.
Status IsSealed(int fd, bool* sealed);

}  // namespace handover::posix
