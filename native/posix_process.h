#pragma once

#include <cstdint>

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

/// How a child ended: by exiting with `code`, or by `signal`. Neither while it runs.
struct Exit {
  bool running = true;
  bool signalled = false;
  int status = 0;
};

struct Limit {
  uint64_t soft = 0;
  uint64_t hard = 0;
};

Status PidfdOpen(int pid, OwnedFd* pidfd);
/// `alive` is false when the process is gone; that is no error.
Status PidfdSignal(int pidfd, int signal, bool* alive);
/// Who loses its parent below this process becomes its child (PR_SET_CHILD_SUBREAPER), and is this process' to reap.
Status AdoptOrphans();
/// Reaps an own child if it has ended.
Status PidfdWait(int pidfd, Exit* exit);

/// RLIMIT_NOFILE.
Status DescriptorLimit(Limit* limit);
/// Sets the soft limit, at most to the hard one.
Status SetDescriptorLimit(uint64_t soft);

}  // namespace handover::posix
