#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "status.h"

namespace handover::posix {

struct User {
  bool exists = false;
  uid_t uid = 0;
  gid_t gid = 0;
  /// All that the group database says it is in, its own group too.
  std::vector<gid_t> groups;
  std::string name;
  std::string home;
  std::string shell;
};

/// By name, as all name services of the machine know it (nsswitch.conf(5)).
Status LookUpUser(const std::string& name, User* user);

Status LookUpGroup(const std::string& name, gid_t* gid, bool* exists);

}  // namespace handover::posix
