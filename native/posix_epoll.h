#pragma once

#include <vector>

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

/// An epoll set of its own. It can be watched like any descriptor: readable while one of its members is.
Status EpollSet(OwnedFd* set);
/// Members become ready when they can be read, or their peer is gone.
Status EpollAdd(int set, int fd);
Status EpollRemove(int set, int fd);
/// A muted member is never ready (but for EPOLLERR and EPOLLHUP, which a member that is a set itself does not have).
Status EpollMute(int set, int fd);
Status EpollUnmute(int set, int fd);
/// The members that are ready now, at most `most`; does not wait.
Status EpollReady(int set, int most, std::vector<int>* ready);

}  // namespace handover::posix
