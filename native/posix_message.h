#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

/// SCM_MAX_FD of the kernel (include/net/scm.h); 254 is EINVAL.
constexpr size_t kMaxDescriptors = 253;

struct Received {
  bool would_block = false;
  size_t bytes = 0;
  std::vector<OwnedFd> descriptors;
};

/// SOCK_SEQPACKET, non-blocking, close-on-exec.
Status SocketPair(OwnedFd ends[2]);

/// SOCK_STREAM, non-blocking, close-on-exec.
Status StreamPair(OwnedFd ends[2]);

/// Sends one message, whole or not at all; `sent` is false when it would block.
Status Send(int fd, const uint8_t* payload, size_t length, const std::vector<int>& descriptors, bool* sent);

/// Receives one message. Fails with every descriptor closed when payload or descriptors did not fit.
Status Receive(int fd, uint8_t* into, size_t capacity, Received* received);

}  // namespace handover::posix
