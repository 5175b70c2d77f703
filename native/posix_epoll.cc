#include "posix_epoll.h"

#include <sys/epoll.h>

namespace handover::posix {

Status EpollSet(OwnedFd* set) {
  const int result = epoll_create1(EPOLL_CLOEXEC);
  *set = OwnedFd(result);
  return Check(result, "epoll_create1");
}

namespace {

Status Control(int set, int operation, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return Check(epoll_ctl(set, operation, fd, &event), "epoll_ctl");
}

constexpr uint32_t kReadable = EPOLLIN | EPOLLRDHUP;

}  // namespace

Status EpollAdd(int set, int fd) { return Control(set, EPOLL_CTL_ADD, fd, kReadable); }
Status EpollMute(int set, int fd) { return Control(set, EPOLL_CTL_MOD, fd, 0); }
Status EpollUnmute(int set, int fd) { return Control(set, EPOLL_CTL_MOD, fd, kReadable); }

Status EpollRemove(int set, int fd) { return Control(set, EPOLL_CTL_DEL, fd, 0); }

Status EpollReady(int set, int most, std::vector<int>* ready) {
  std::vector<epoll_event> events(most);
  int result;
  do {
    result = epoll_wait(set, events.data(), most, 0);
  } while (result == -1 && errno == EINTR);
  for (int index = 0; index < result; index++) ready->push_back(events[index].data.fd);
  return Check(result, "epoll_wait");
}

}  // namespace handover::posix
