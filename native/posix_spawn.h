#pragma once

#include <string>
#include <vector>

#include "owned_fd.h"
#include "status.h"

namespace handover::posix {

struct SpawnRequest {
  /// A path, or a name to look for in this process' PATH.
  std::string program;
  std::string directory;
  /// With the program's own name first.
  std::vector<std::string> arguments;
  /// NAME=VALUE, complete.
  std::vector<std::string> environment;
  /// Become 0, 1, 2 … in the child; all others are closed, as far as they are close-on-exec.
  std::vector<int> descriptors;
  /// LISTEN_PID is added: sd_listen_fds(3) wants the number of the process itself, known only to the child.
  bool names_itself = false;
  /// Whose process it is: user, group, then the supplementary groups. Empty: this process' own.
  std::vector<int> identity;
};

/// Starts a program as the leader of a session of its own, with all signals as they are by default. Returns when it
/// runs, or with what its start failed of. The child stays to be reaped by PidfdWait.
Status Spawn(const SpawnRequest& request, int* pid, OwnedFd* pidfd);

/// Becomes another program, in the place of this one: returns only when that fails. `program` is a path.
Status Execute(const std::string& program, const std::vector<std::string>& arguments,
               const std::vector<std::string>& environment);

}  // namespace handover::posix
