#pragma once

#include <poll.h>

#include <vector>

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

Status Duplicate(int fd, OwnedFd* duplicate);
Status Close(int fd);
Status SetCloseOnExec(int fd, bool on);
Status IsCloseOnExec(int fd, bool* on);

/// Blocks up to `timeout_ms` (-1: no limit); an interrupted wait goes on with the time that is left.
Status Poll(std::vector<pollfd>* descriptors, int timeout_ms);

/// flock(2), exclusive, without waiting; not locked when another open file holds it.
Status TryLock(int fd, bool* locked);

/// Grows the table of descriptors to hold `count` at once.
Status GrowDescriptorTable(int count);

}  // namespace handover::posix
