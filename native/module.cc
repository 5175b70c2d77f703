#include <napi.h>

#ifdef __linux__
#include "bindings.h"
#endif

namespace {

Napi::Object Initialize([[maybe_unused]] Napi::Env env, Napi::Object exports) {
#ifdef __linux__
  handover::BindDescriptors(exports);
  handover::BindSockets(exports);
  handover::BindRendezvous(exports);
  handover::BindProcesses(exports);
  handover::BindPrograms(exports);
  handover::BindEpoll(exports);
  handover::BindWatcher(exports);
#endif
  return exports;
}

}  // namespace

NODE_API_MODULE(handover, Initialize)
