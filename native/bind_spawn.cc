#include "arguments.h"
#include "bindings.h"
#include "posix_notify.h"
#include "posix_process.h"
#include "posix_spawn.h"

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
  if (arguments.failed()) return {};
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
  Bind<BindNotify>(exports, "bindNotify");
  Bind<AdoptOrphans>(exports, "adoptOrphans");
}

}  // namespace handover
