#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "status.h"

namespace handover {

/// The bytes of a Uint8Array, for the length of the call.
struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

/// Reads a call's arguments by position. The first that is not what it should be throws into JavaScript and sets
/// `failed()`; the rest is then read as zero. Ask `failed()` once, before anything is done.
class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  bool failed() const { return failed_; }

  double Integer(size_t index, const char* name, double least, double most);
  int Descriptor(size_t index, const char* name);
  std::vector<int> Integers(size_t index, const char* name, int least, int most);
  std::vector<int> Descriptors(size_t index, const char* name);
  bool Boolean(size_t index, const char* name);
  std::string String(size_t index, const char* name);
  std::vector<std::string> Strings(size_t index, const char* name);
  Bytes NonEmptyBytes(size_t index, const char* name);
  Napi::Function Function(size_t index, const char* name);

  /// Throws what a check of the caller's own found.
  void Reject(const Napi::Error& error);

 private:
  bool Expect(bool holds, const char* name, const std::string& what);
  std::string Text(Napi::Value value, const std::string& name);
  bool ExpectInteger(Napi::Value value, const std::string& name, double least, double most);

  const Napi::CallbackInfo& info_;
  bool failed_ = false;
};

/// Throws a failed call as Node throws its own: `code`, `errno` (negative) and `syscall`.
void ThrowSystemError(Napi::Env env, Status status);

/// `undefined`, or the error thrown.
Napi::Value Done(Napi::Env env, Status status);

}  // namespace handover
