#include "posix_message.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

namespace handover::posix {
namespace {

// Room for the descriptors and for SCM_CREDENTIALS, which a socket with SO_PASSCRED gets unasked: were there none, a
// full batch would be cut short by it.
constexpr size_t kControlBytes = CMSG_SPACE(kMaxDescriptors * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred));

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

/// An end that dies with messages unread leaves ECONNRESET on ours, reported once and *before* what is still queued.
/// What it had sent is whole and there to be read, so the mark is stepped over: the messages come, then end of file
/// (or, on a send, EPIPE). Only for local sockets; the reset of a TCP connection is the truth about its data.
bool IsStaleReset(int fd) {
  if (errno != ECONNRESET) return false;
  int domain = 0;
  socklen_t size = sizeof domain;
  const bool local = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
  errno = ECONNRESET;
  return local;
}

template <typename Call>
ssize_t Transmit(int fd, Call call) {
  ssize_t result = Retry(call);
  if (result == -1 && IsStaleReset(fd)) result = Retry(call);
  return result;
}

/// Takes ownership of every descriptor of the message, in all of its control headers.
void Collect(msghdr* message, std::vector<OwnedFd>* descriptors) {
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < count; index++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + index * sizeof fd, sizeof fd);
      descriptors->emplace_back(fd);
    }
  }
}

}  // namespace

namespace {

Status Pair(int type, OwnedFd ends[2]) {
  int fds[2];
  const Status status = Check(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), "socketpair");
  if (!status.ok()) return status;
  ends[0] = OwnedFd(fds[0]);
  ends[1] = OwnedFd(fds[1]);
  return status;
}

}  // namespace

Status SocketPair(OwnedFd ends[2]) { return Pair(SOCK_SEQPACKET, ends); }

Status StreamPair(OwnedFd ends[2]) { return Pair(SOCK_STREAM, ends); }

Status Send(int fd, const uint8_t* payload, size_t length, const std::vector<int>& descriptors, bool* sent) {
  alignas(cmsghdr) char control[kControlBytes] = {};
  iovec part{const_cast<uint8_t*>(payload), length};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const size_t size = descriptors.size() * sizeof(int);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), descriptors.data(), size);
  }
  const ssize_t result = Transmit(fd, [&] { return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
  *sent = result != -1;
  if (result == -1 && WouldBlock(errno)) return {};
  return Check(result, "sendmsg");
}

Status Receive(int fd, uint8_t* into, size_t capacity, Received* received) {
  alignas(cmsghdr) char control[kControlBytes];
  iovec part{into, capacity};
  msghdr message{};
  const ssize_t result = Transmit(fd, [&] {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    return recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  });
  if (result == -1 && WouldBlock(errno)) {
    received->would_block = true;
    return {};
  }
  if (result == -1) return Check(result, "recvmsg");

  std::vector<OwnedFd> descriptors;
  descriptors.reserve(kMaxDescriptors);
  Collect(&message, &descriptors);
  if (message.msg_flags & MSG_CTRUNC) return {kControlTruncated, "recvmsg"};
  if (message.msg_flags & MSG_TRUNC) return {EMSGSIZE, "recvmsg"};
  // Zero bytes mean end of file; descriptors riding on an empty message, which this side never sends, have no owner.
  if (result > 0) received->descriptors = std::move(descriptors);
  received->bytes = static_cast<size_t>(result);
  return {};
}

}  // namespace handover::posix
