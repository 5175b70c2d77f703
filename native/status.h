#pragma once

#include <cerrno>

namespace handover {

/// How a system call ended: errno (0 is success) and the name of the call, for the error that JavaScript sees.
struct [[nodiscard]] Status {
  int error = 0;
  const char* syscall = "";

  bool ok() const { return error == 0; }
};

/// Not an errno: the kernel dropped descriptors from a message (MSG_CTRUNC). Thrown with the code ECTRUNC.
constexpr int kControlTruncated = 100000;

/// Success, or errno as it is now when `result` is -1.
inline Status Check(long result, const char* syscall) { return {result == -1 ? errno : 0, syscall}; }

/// Calls until it is not interrupted by a signal.
template <typename Call>
auto Retry(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

}  // namespace handover
