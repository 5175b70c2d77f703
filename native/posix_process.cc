#include "posix_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

// Older C libraries name none of these; the kernel has had them since 5.4.
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace handover::posix {
namespace {

constexpr auto kPidfd = static_cast<idtype_t>(3);  // P_PIDFD

}  // namespace

Status PidfdOpen(int pid, OwnedFd* pidfd) {
  *pidfd = OwnedFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));  // always close-on-exec
  return Check(pidfd->get(), "pidfd_open");
}

Status PidfdSignal(int pidfd, int signal, bool* alive) {
  const long result = syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
  *alive = result == 0;
  if (result == -1 && errno == ESRCH) return {};
  return Check(result, "pidfd_send_signal");
}

Status AdoptOrphans() { return Check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl"); }

Status PidfdWait(int pidfd, Exit* exit) {
  siginfo_t info{};
  const int result = Retry([&] { return waitid(kPidfd, static_cast<id_t>(pidfd), &info, WNOHANG | WEXITED); });
  if (result == -1) return Check(result, "waitid");
  exit->running = info.si_pid == 0;
  exit->signalled = info.si_code != CLD_EXITED;
  exit->status = info.si_status;
  return {};
}

Status DescriptorLimit(Limit* limit) {
  rlimit current{};
  const Status status = Check(getrlimit(RLIMIT_NOFILE, &current), "getrlimit");
  *limit = {current.rlim_cur, current.rlim_max};
  return status;
}

Status SetDescriptorLimit(uint64_t soft) {
  rlimit current{};
  const Status status = Check(getrlimit(RLIMIT_NOFILE, &current), "getrlimit");
  if (!status.ok()) return status;
  current.rlim_cur = std::min<rlim_t>(soft, current.rlim_max);
  return Check(setrlimit(RLIMIT_NOFILE, &current), "setrlimit");
}

}  // namespace handover::posix
