#include "posix_epoll.h"

#include <sys/epoll.h>

namespace handover::posix {

Status EpollSet(OwnedFd* set) {
  const int result = epoll_create1(EPOLL_CLOEXEC);
  *set = OwnedFd(result);
  return Check(result, "epoll_create1");
}

Status EpollAdd(int set, int fd) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.fd = fd;
  return Check(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

Status EpollRemove(int set, int fd) { return Check(epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr), "epoll_ctl"); }

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
