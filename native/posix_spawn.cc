#include "posix_spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "posix_process.h"

namespace handover::posix {
namespace {

constexpr char kListenPid[] = "LISTEN_PID=";

/// What the child says when it cannot become the program.
struct Failure {
  int error;
  char syscall[16];
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

/// Everything the child needs, made before the fork: after it only async-signal-safe calls are allowed, since another
/// thread may have held the lock of the allocator.
struct Prepared {
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::vector<int> descriptors;
  std::vector<gid_t> groups;
  char listen_pid[sizeof kListenPid + 11];
};

void WriteDecimal(char* into, int number) {
  char digits[12];
  int count = 0;
  for (; number > 0; number /= 10) digits[count++] = static_cast<char>('0' + number % 10);
  while (count > 0) *into++ = digits[--count];
  *into = '\0';
}

[[noreturn]] void Fail(int report, const char* syscall) {
  Failure failure{errno, {}};
  for (size_t at = 0; at + 1 < sizeof failure.syscall && syscall[at] != '\0'; at++) failure.syscall[at] = syscall[at];
  // The pipe has room for it, and its reader waits.
  if (write(report, &failure, sizeof failure) == -1) _exit(126);
  _exit(127);
}

/// Node ignores SIGPIPE and handles others; what is ignored stays so over exec.
void ResetSignals() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// In two steps: the first lifts all above the numbers they go to, so that none is overwritten before it is copied.
void PlaceDescriptors(std::vector<int>* descriptors, int report) {
  const int count = static_cast<int>(descriptors->size());
  for (int& fd : *descriptors) {
    fd = fcntl(fd, F_DUPFD_CLOEXEC, count);
    if (fd == -1) Fail(report, "fcntl");
  }
  for (int target = 0; target < count; target++) {
    if (dup2((*descriptors)[target], target) == -1) Fail(report, "dup2");
    // As libuv does: a program's standard streams block. Further ones keep the mode they share with other processes.
    if (target > 2) continue;
    const int flags = fcntl(target, F_GETFL);
    if (flags != -1 && (flags & O_NONBLOCK) != 0) fcntl(target, F_SETFL, flags & ~O_NONBLOCK);
  }
}

/// The groups first: who has given up the user may not change them. The bare calls: glibc's wrappers take locks, to
/// change every thread of a process, and this one has one thread.
void ChangeIdentity(const std::vector<int>& identity, const std::vector<gid_t>& groups, int report) {
  if (identity.empty()) return;
  if (syscall(SYS_setgroups, groups.size(), groups.data()) == -1) Fail(report, "setgroups");
  if (syscall(SYS_setresgid, identity[1], identity[1], identity[1]) == -1) Fail(report, "setresgid");
  if (syscall(SYS_setresuid, identity[0], identity[0], identity[0]) == -1) Fail(report, "setresuid");
}

[[noreturn]] void Become(const SpawnRequest& request, Prepared* prepared, int report) {
  ResetSignals();
  if (setsid() == -1) Fail(report, "setsid");
  // Above all that is placed.
  const int raised = fcntl(report, F_DUPFD_CLOEXEC, static_cast<int>(prepared->descriptors.size()));
  if (raised == -1) Fail(report, "fcntl");
  PlaceDescriptors(&prepared->descriptors, raised);
  ChangeIdentity(request.identity, prepared->groups, raised);
  // As that user: what it may not enter, its program could not use either.
  if (chdir(request.directory.c_str()) == -1) Fail(raised, "chdir");
  WriteDecimal(prepared->listen_pid + sizeof kListenPid - 1, getpid());
  execvpe(request.program.c_str(), prepared->arguments.data(), prepared->environment.data());
  Fail(raised, "execve");
}

Status Reported(int report) {
  Failure failure{};
  const ssize_t size = Retry([&] { return read(report, &failure, sizeof failure); });
  if (size == -1) return Check(size, "read");
  if (size != sizeof failure) return {};
  for (const char* known : {"setsid", "fcntl", "dup2", "setgroups", "setresgid", "setresuid", "chdir"}) {
    if (std::strcmp(known, failure.syscall) == 0) return {failure.error, known};
  }
  return {failure.error, "execve"};
}

}  // namespace

Status Spawn(const SpawnRequest& request, int* pid, OwnedFd* pidfd) {
  Prepared prepared{Pointers(request.arguments), Pointers(request.environment), request.descriptors, {}, {}};
  if (request.identity.size() > 2) prepared.groups.assign(request.identity.begin() + 2, request.identity.end());
  std::memcpy(prepared.listen_pid, kListenPid, sizeof kListenPid);
  if (request.names_itself) prepared.environment.insert(prepared.environment.end() - 1, prepared.listen_pid);

  int pipe_ends[2];
  Status status = Check(pipe2(pipe_ends, O_CLOEXEC), "pipe2");
  if (!status.ok()) return status;
  const OwnedFd report(pipe_ends[0]);
  OwnedFd reporter(pipe_ends[1]);

  // No handler of Node's may run in the child.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = fork();
  if (child == 0) Become(request, &prepared, reporter.get());
  status = Check(child, "fork");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!status.ok()) return status;

  reporter = OwnedFd();
  status = Reported(report.get());
  if (status.ok()) status = PidfdOpen(child, pidfd);
  if (status.ok()) {
    *pid = child;
    return status;
  }
  kill(child, SIGKILL);
  (void)Retry([&] { return waitpid(child, nullptr, 0); });
  return status;
}

Status Execute(const std::string& program, const std::vector<std::string>& arguments,
               const std::vector<std::string>& environment) {
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);
  execve(program.c_str(), argv.data(), envp.data());
  return Check(-1, "execve");
}

}  // namespace handover::posix
