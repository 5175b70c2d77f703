#pragma once

#include <napi.h>

#include "owned_fd.h"
#include "status.h"

/// What src/sys/binding.ts types. Each group adds its functions to the module's exports.
namespace handover {

void BindDescriptors(Napi::Object exports);
void BindSockets(Napi::Object exports);
void BindProcesses(Napi::Object exports);
void BindPrograms(Napi::Object exports);
void BindRendezvous(Napi::Object exports);
void BindEpoll(Napi::Object exports);
void BindWatcher(Napi::Object exports);

/// Adds one function under its name.
template <Napi::Value (*Callback)(const Napi::CallbackInfo&)>
void Bind(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<Callback>(exports.Env(), name));
}

/// Gives a new descriptor to JavaScript, or throws.
Napi::Value GiveDescriptor(Napi::Env env, Status status, OwnedFd* fd);

}  // namespace handover
