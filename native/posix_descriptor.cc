#include "posix_descriptor.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace handover::posix {
namespace {

int64_t NowNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

Status Duplicate(int fd, OwnedFd* duplicate) {
  const int result = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  *duplicate = OwnedFd(result);
  return Check(result, "fcntl");
}

Status Close(int fd) {
  const Status status = Check(close(fd), "close");
  // The number is free even so; a second close could hit what another thread has opened under it.
  return status.error == EINTR ? Status{} : status;
}

Status SetCloseOnExec(int fd, bool on) { return Check(fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0), "fcntl"); }

Status IsCloseOnExec(int fd, bool* on) {
  const int flags = fcntl(fd, F_GETFD);
  *on = (flags & FD_CLOEXEC) != 0;
  return Check(flags, "fcntl");
}

Status Poll(std::vector<pollfd>* descriptors, int timeout_ms) {
  const int64_t deadline = NowNanoseconds() + int64_t{timeout_ms} * 1'000'000;
  for (;;) {
    const int64_t left = std::max<int64_t>(0, deadline - NowNanoseconds());
    const timespec timeout{left / 1'000'000'000, left % 1'000'000'000};
    const int result = ppoll(descriptors->data(), descriptors->size(), timeout_ms < 0 ? nullptr : &timeout, nullptr);
    if (result != -1 || errno != EINTR) return Check(result, "ppoll");
  }
}

Status TryLock(int fd, bool* locked) {
  const int result = flock(fd, LOCK_EX | LOCK_NB);
  *locked = result == 0;
  if (result == -1 && errno == EWOULDBLOCK) return {};
  return Check(result, "flock");
}

Status GrowDescriptorTable(int count) {
  const OwnedFd any(eventfd(0, EFD_CLOEXEC));
  if (any.get() == -1) return Check(-1, "eventfd");
  const OwnedFd top(fcntl(any.get(), F_DUPFD_CLOEXEC, count - 1));
  // EMFILE: all from there to the limit are in use, so the table is that large already.
  if (top.get() == -1 && errno == EMFILE) return {};
  return Check(top.get(), "fcntl");
}

}  // namespace handover::posix
