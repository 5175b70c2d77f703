#include "posix_tcp.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>

namespace handover::posix {
namespace {

Status GetInfo(int fd, tcp_info* info) {
  *info = {};
  socklen_t size = sizeof *info;
  const Status status = Check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size), "getsockopt");
  // A kernel before 4.1 does not count.
  if (status.ok() && size < offsetof(tcp_info, tcpi_bytes_received) + sizeof info->tcpi_bytes_received)
    return {ENOPROTOOPT, "getsockopt"};
  return status;
}

}  // namespace

Status GetStreamPosition(int fd, StreamPosition* position) {
  tcp_info before{};
  tcp_info after{};
  Status status = GetInfo(fd, &before);
  for (;;) {
    int receive = 0;
    int send = 0;
    if (status.ok()) status = Check(ioctl(fd, SIOCINQ, &receive), "ioctl");
    if (status.ok()) status = Check(ioctl(fd, SIOCOUTQ, &send), "ioctl");
    if (status.ok()) status = GetInfo(fd, &after);
    if (!status.ok()) return status;
    // What came, or was acknowledged, in between would be counted on one side only.
    if (before.tcpi_bytes_received == after.tcpi_bytes_received && before.tcpi_bytes_acked == after.tcpi_bytes_acked) {
      *position = {after.tcpi_bytes_received - static_cast<uint64_t>(receive),
                   after.tcpi_bytes_acked + static_cast<uint64_t>(send)};
      return status;
    }
    before = after;
  }
}

}  // namespace handover::posix
