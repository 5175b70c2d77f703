#pragma once

#include <unistd.h>

#include <utility>

namespace handover {

/// Closes its descriptor unless it was released: every descriptor has one owner on every line.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.Release()) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = other.Release();
    }
    return *this;
  }
  ~OwnedFd() { Close(); }

  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  // EINTR is not retried: Linux has let go of the number by then, and another thread may own it already.
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  int fd_ = -1;
};

}  // namespace handover
