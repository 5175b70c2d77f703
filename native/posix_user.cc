#include "posix_user.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>

namespace handover::posix {
namespace {

/// getpwnam_r(3) says ERANGE when its buffer is too small; no entry is this long.
constexpr size_t kMostBytes = 1 << 20;

/// Calls with a larger buffer each time. The error is the call's result; not found is no error.
template <typename Call>
Status WithBuffer(std::vector<char>* buffer, const char* name, Call call) {
  for (buffer->resize(1024);; buffer->resize(buffer->size() * 4)) {
    const int error = call(buffer->data(), buffer->size());
    if (error == ERANGE && buffer->size() < kMostBytes) continue;
    // What getpwnam_r(3) lists for "not found", on one system or another.
    if (error == ENOENT || error == ESRCH || error == EBADF || error == EPERM) return {};
    return error == 0 ? Status{} : Status{error, name};
  }
}

}  // namespace

Status LookUpUser(const std::string& name, User* user) {
  std::vector<char> buffer;
  passwd entry{};
  passwd* found = nullptr;
  const Status status = WithBuffer(&buffer, "getpwnam_r", [&](char* data, size_t size) {
    return getpwnam_r(name.c_str(), &entry, data, size, &found);
  });
  if (!status.ok() || found == nullptr) return status;
  *user = {true, entry.pw_uid, entry.pw_gid, {}, entry.pw_name, entry.pw_dir, entry.pw_shell};
  int count = 64;
  do {
    user->groups.resize(static_cast<size_t>(count));
  } while (getgrouplist(entry.pw_name, entry.pw_gid, user->groups.data(), &count) == -1 &&
           static_cast<size_t>(count) > user->groups.size());
  user->groups.resize(static_cast<size_t>(count));
  return {};
}

Status LookUpGroup(const std::string& name, gid_t* gid, bool* exists) {
  std::vector<char> buffer;
  group entry{};
  group* found = nullptr;
  const Status status = WithBuffer(&buffer, "getgrnam_r", [&](char* data, size_t size) {
    return getgrnam_r(name.c_str(), &entry, data, size, &found);
  });
  *exists = status.ok() && found != nullptr;
  if (*exists) *gid = entry.gr_gid;
  return status;
}

}  // namespace handover::posix
