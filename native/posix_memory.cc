#include "posix_memory.h"

#include <fcntl.h>
#include <sys/mman.h>

namespace handover::posix {
namespace {

constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

}  // namespace

Status MemoryFile(const char* name, OwnedFd* file) {
  *file = OwnedFd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  return Check(file->get(), "memfd_create");
}

Status Seal(int fd) { return Check(fcntl(fd, F_ADD_SEALS, kAllSeals), "fcntl"); }

Status IsSealed(int fd, bool* sealed) {
  const int seals = fcntl(fd, F_GET_SEALS);
  *sealed = (seals & kAllSeals) == kAllSeals;
  return Check(seals, "fcntl");
}

}  // namespace handover::posix
