// libFuzzer target of native/posix_message.cc: the bytes are a script of two ends of a channel, one of them hostile. It
// sends what the kernel lets it send (messages with and without descriptors, credentials, several control headers, too
// many bytes); the other receives into rooms of any size, and with any number of descriptors left to it.
//
// What must hold after each script: no descriptor more than before, every descriptor received is open and
// close-on-exec, no byte written past the room, and an error has left nothing behind.
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../../native/posix_message.h"

using handover::OwnedFd;
using handover::Status;

namespace {

[[noreturn]] void Fail(const char* what) {
  fprintf(stderr, "message fuzz: %s (errno %d)\n", what, errno);
  abort();
}

void Require(bool fact, const char* what) {
  if (!fact) Fail(what);
}

/// The script: runs out into zeros.
class Script {
 public:
  Script(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool done() const { return at_ >= size_; }
  uint8_t Byte() { return done() ? 0 : data_[at_++]; }
  size_t Size() { return Byte() | static_cast<size_t>(Byte()) << 8; }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

int OpenDescriptors() {
  DIR* folder = opendir("/proc/self/fd");
  Require(folder != nullptr, "opendir");
  int count = 0;
  while (readdir(folder) != nullptr) count++;
  closedir(folder);
  return count;
}

/// What no client of the addon can send, but a process that holds the other end can: control headers as it likes.
void SendHostile(int fd, Script* script, int spare) {
  const size_t length = script->Size() % 3000;
  std::vector<uint8_t> payload(length + 1, 0x5a);
  std::vector<uint8_t> control;
  for (int headers = script->Byte() % 4; headers > 0; headers--) {
    const bool rights = script->Byte() % 4 != 0;
    const size_t count = script->Byte() % 90;
    const size_t size = rights ? count * sizeof(int) : sizeof(ucred);
    std::vector<uint8_t> header(CMSG_SPACE(size));
    auto* cmsg = reinterpret_cast<cmsghdr*>(header.data());
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = rights ? SCM_RIGHTS : SCM_CREDENTIALS;
    cmsg->cmsg_len = CMSG_LEN(size);
    if (rights) {
      for (size_t index = 0; index < count; index++)
        memcpy(CMSG_DATA(cmsg) + index * sizeof spare, &spare, sizeof spare);
    } else {
      const ucred own{getpid(), getuid(), getgid()};
      memcpy(CMSG_DATA(cmsg), &own, sizeof own);
    }
    control.insert(control.end(), header.begin(), header.end());
  }
  iovec part{payload.data(), length};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = script->Byte() % 8 == 0 ? 0 : 1;
  message.msg_control = control.empty() ? nullptr : control.data();
  message.msg_controllen = control.size();
  (void)sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ReceiveOnce(int fd, Script* script) {
  constexpr uint8_t kFence = 0xa5;
  const size_t room = 1 + script->Size() % 4000;
  std::vector<uint8_t> into(room + 64, kFence);
  // Leaves a few numbers free, so that the kernel has to cut the row of descriptors short.
  rlimit before{};
  Require(getrlimit(RLIMIT_NOFILE, &before) == 0, "getrlimit");
  const bool tight = script->Byte() % 4 == 0;
  if (tight) {
    const int lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (lowest >= 0) close(lowest);
    rlimit limit = before;
    limit.rlim_cur = static_cast<rlim_t>(lowest < 0 ? 0 : lowest) + script->Byte() % 20;
    Require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
  }
  // Not always: to look takes the mark of a peer that died with messages unread.
  const ssize_t waiting = script->Byte() % 2 == 0 ? recv(fd, nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) : -1;
  handover::posix::Received received;
  const Status status = handover::posix::Receive(fd, into.data(), room, &received);
  if (tight) Require(setrlimit(RLIMIT_NOFILE, &before) == 0, "setrlimit back");

  Require(received.bytes <= room, "more bytes than room");
  for (size_t index = room; index < into.size(); index++) Require(into[index] == kFence, "a byte past the room");
  Require(received.descriptors.size() <= handover::posix::kMaxDescriptors, "more descriptors than the kernel's limit");
  Require(received.bytes > 0 || received.descriptors.empty(), "descriptors of an empty message, which have no owner");
  Require(waiting <= static_cast<ssize_t>(room) || !status.ok(), "part of a message for the whole of it");
  Require(tight || status.error != handover::kControlTruncated, "no room for what the kernel may send");
  Require(status.ok() || (received.bytes == 0 && received.descriptors.empty()), "an error with something received");
  Require(!received.would_block || (received.bytes == 0 && received.descriptors.empty()), "nothing, but something");
  for (const OwnedFd& descriptor : received.descriptors) {
    const int flags = fcntl(descriptor.get(), F_GETFD);
    Require(flags != -1, "a descriptor that is not open");
    Require((flags & FD_CLOEXEC) != 0, "a descriptor that programs inherit");
  }
}

void SendOnce(int fd, Script* script, int spare) {
  const size_t length = 1 + script->Size() * (script->Byte() % 8);
  const size_t count = script->Size() % (handover::posix::kMaxDescriptors + 1);
  std::vector<uint8_t> payload(length, 1);
  std::vector<int> descriptors(count, script->Byte() % 32 == 0 ? 1000000 : spare);
  bool sent = true;
  const Status status = handover::posix::Send(fd, payload.data(), length, descriptors, &sent);
  Require(status.ok() || !sent, "sent, with an error");
}

void Run(Script* script) {
  OwnedFd ends[2];
  Require(handover::posix::SocketPair(ends).ok(), "socketpair");
  if (script->Byte() % 2 == 0) {
    const int on = 1;
    Require(setsockopt(ends[1].get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0, "SO_PASSCRED");
  }
  const OwnedFd spare(fcntl(ends[0].get(), F_DUPFD_CLOEXEC, 0));
  for (int steps = 0; steps < 64 && !script->done(); steps++) {
    switch (script->Byte() % 8) {
      case 0:
      case 1:
        SendHostile(ends[0].get(), script, spare.get());
        break;
      case 2:
        SendOnce(ends[script->Byte() % 2].get(), script, spare.get());
        break;
      case 3:
        SendOnce(ends[0].get(), script, ends[1].get());
        break;
      case 4:
        shutdown(ends[script->Byte() % 2].get(), script->Byte() % 3);
        break;
      case 5:
        // The end that dies, perhaps with messages unread; a receive from a number that is closed is an error.
        if (script->Byte() % 4 == 0) ends[0] = OwnedFd();
        break;
      default:
        ReceiveOnce(ends[script->Byte() % 8 == 0 ? 0 : 1].get(), script);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int before = OpenDescriptors();
  Script script(data, size);
  Run(&script);
  Require(OpenDescriptors() == before, "descriptors were left open");
  return 0;
}
