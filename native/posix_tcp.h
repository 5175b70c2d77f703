#pragma once

#include <cstdint>

#include "status.h"

namespace handover::posix {

/// How far a connection has come, as a process sees it.
struct StreamPosition {
  /// Bytes that were read from it.
  uint64_t read = 0;
  /// Bytes that were written to it.
  uint64_t written = 0;
};

/// From TCP_INFO (tcpi_bytes_received, tcpi_bytes_acked) and what waits in the kernel; but for a constant of each
/// connection. EOPNOTSUPP, or ENOPROTOOPT, of a socket that is not TCP.
Status GetStreamPosition(int fd, StreamPosition* position);

}  // namespace handover::posix
