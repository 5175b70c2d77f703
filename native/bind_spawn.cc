#include <climits>

#include "arguments.h"
#include "bindings.h"
#include "posix_notify.h"
#include "posix_process.h"
#include "posix_spawn.h"
#include "posix_user.h"

namespace handover {
namespace {

Napi::Value Spawn(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  posix::SpawnRequest request;
  request.program = arguments.String(0, "program");
  request.arguments = arguments.Strings(1, "arguments");
  request.environment = arguments.Strings(2, "environment");
  request.directory = arguments.String(3, "directory");
  request.descriptors = arguments.Descriptors(4, "descriptors");
  request.names_itself = arguments.Boolean(5, "namesItself");
  request.identity = arguments.Integers(6, "identity", 0, INT_MAX);
  if (arguments.failed()) return {};
  if (request.identity.size() == 1) {
    arguments.Reject(Napi::TypeError::New(info.Env(), "identity must be empty, or a user, a group and further groups"));
    return {};
  }
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  if (result.IsEmpty()) return {};
  int pid = 0;
  OwnedFd pidfd;
  const Status status = posix::Spawn(request, &pid, &pidfd);
  if (!status.ok()) return Done(env, status);
  if (!result.Set("pid", pid) || !result.Set("pidfd", pidfd.get())) return {};
  pidfd.Release();
  return result;
}

Napi::Value Execute(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string program = arguments.String(0, "program");
  const std::vector<std::string> args = arguments.Strings(1, "arguments");
  const std::vector<std::string> environment = arguments.Strings(2, "environment");
  if (arguments.failed()) return {};
  return Done(info.Env(), posix::Execute(program, args, environment));
}

Napi::Value LookUpUser(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string name = arguments.String(0, "name");
  if (arguments.failed()) return {};
  const Napi::Env env = info.Env();
  posix::User user;
  const Status status = posix::LookUpUser(name, &user);
  if (!status.ok() || !user.exists) return Done(env, status);
  Napi::Array groups = Napi::Array::New(env, user.groups.size());
  for (uint32_t at = 0; at < user.groups.size(); at++) groups.Set(at, static_cast<double>(user.groups[at]));
  Napi::Object result = Napi::Object::New(env);
  result.Set("uid", static_cast<double>(user.uid));
  result.Set("gid", static_cast<double>(user.gid));
  result.Set("groups", groups);
  result.Set("name", user.name);
  result.Set("home", user.home);
  result.Set("shell", user.shell);
  return result;
}

Napi::Value LookUpGroup(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string name = arguments.String(0, "name");
  if (arguments.failed()) return {};
  gid_t gid = 0;
  bool exists = false;
  const Status status = posix::LookUpGroup(name, &gid, &exists);
  if (!status.ok() || !exists) return Done(info.Env(), status);
  return Napi::Number::New(info.Env(), static_cast<double>(gid));
}

Napi::Value BindNotify(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string name = arguments.String(0, "name");
  if (arguments.failed()) return {};
  OwnedFd socket;
  const Status status = posix::BindNotify(name, &socket);
  return GiveDescriptor(info.Env(), status, &socket);
}

Napi::Value AdoptOrphans(const Napi::CallbackInfo& info) { return Done(info.Env(), posix::AdoptOrphans()); }

}  // namespace

void BindPrograms(Napi::Object exports) {
  Bind<Spawn>(exports, "spawn");
  Bind<Execute>(exports, "execute");
  Bind<LookUpUser>(exports, "lookUpUser");
  Bind<LookUpGroup>(exports, "lookUpGroup");
  Bind<BindNotify>(exports, "bindNotify");
  Bind<AdoptOrphans>(exports, "adoptOrphans");
}

}  // namespace handover
