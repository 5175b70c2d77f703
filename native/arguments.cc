#include "arguments.h"

#include <uv.h>

#include <climits>
#include <cmath>

namespace handover {
namespace {

struct Description {
  int number;
  std::string code;
  std::string text;
};

Description Describe(int error) {
  if (error == kControlTruncated) {
    return {-EMFILE, "ECTRUNC",
            "descriptors of the message were dropped, this process may be at its limit of open files; all were closed"};
  }
  // libuv has no names for these two.
  if (error == ECHILD) return {-error, "ECHILD", "not a child of this process, or reaped already"};
  if (error == ETOOMANYREFS) return {-error, "ETOOMANYREFS", "too many descriptors in flight"};
  char code[64];
  char text[128];
  return {-error, uv_err_name_r(-error, code, sizeof code), uv_strerror_r(-error, text, sizeof text)};
}

}  // namespace

bool Arguments::Expect(bool holds, const char* name, const std::string& what) {
  if (failed_ || holds) return !failed_;
  Reject(Napi::TypeError::New(info_.Env(), std::string(name) + " must be " + what));
  return false;
}

void Arguments::Reject(const Napi::Error& error) {
  if (failed_) return;
  failed_ = true;
  error.ThrowAsJavaScriptException();
}

bool Arguments::ExpectInteger(Napi::Value value, const std::string& name, double least, double most) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  const bool holds = std::trunc(number) == number && number >= least && number <= most;
  return Expect(holds, name.c_str(),
                "an integer from " + std::to_string(static_cast<int64_t>(least)) + " to " +
                    std::to_string(static_cast<int64_t>(most)));
}

double Arguments::Integer(size_t index, const char* name, double least, double most) {
  const Napi::Value value = info_[index];
  return ExpectInteger(value, name, least, most) ? value.As<Napi::Number>().DoubleValue() : 0;
}

int Arguments::Descriptor(size_t index, const char* name) { return static_cast<int>(Integer(index, name, 0, INT_MAX)); }

std::vector<int> Arguments::Integers(size_t index, const char* name, int least, int most) {
  std::vector<int> integers;
  const Napi::Value value = info_[index];
  if (!Expect(value.IsArray(), name, "an array")) return integers;
  const Napi::Array array = value.As<Napi::Array>();
  for (uint32_t at = 0; at < array.Length(); at++) {
    const Napi::HandleScope scope(info_.Env());
    const Napi::Value item = array.Get(at);
    if (info_.Env().IsExceptionPending()) failed_ = true;  // a getter or proxy threw
    if (failed_ || !ExpectInteger(item, std::string(name) + "[" + std::to_string(at) + "]", least, most)) return {};
    integers.push_back(item.As<Napi::Number>().Int32Value());
  }
  return integers;
}

std::vector<int> Arguments::Descriptors(size_t index, const char* name) { return Integers(index, name, 0, INT_MAX); }

bool Arguments::Boolean(size_t index, const char* name) {
  const Napi::Value value = info_[index];
  return Expect(value.IsBoolean(), name, "a boolean") && value.As<Napi::Boolean>().Value();
}

std::string Arguments::Text(Napi::Value value, const std::string& name) {
  if (!Expect(value.IsString(), name.c_str(), "a string")) return {};
  const std::string text = value.As<Napi::String>().Utf8Value();
  // The kernel would read only what is before it.
  return Expect(text.find('\0') == std::string::npos, name.c_str(), "a string without a NUL") ? text : std::string();
}

std::string Arguments::String(size_t index, const char* name) { return Text(info_[index], name); }

std::vector<std::string> Arguments::Strings(size_t index, const char* name) {
  std::vector<std::string> strings;
  const Napi::Value value = info_[index];
  if (!Expect(value.IsArray(), name, "an array")) return strings;
  const Napi::Array array = value.As<Napi::Array>();
  for (uint32_t at = 0; at < array.Length(); at++) {
    const Napi::HandleScope scope(info_.Env());
    const Napi::Value item = array.Get(at);
    if (info_.Env().IsExceptionPending()) failed_ = true;  // a getter or proxy threw
    if (failed_) return {};
    strings.push_back(Text(item, std::string(name) + "[" + std::to_string(at) + "]"));
  }
  return strings;
}

Bytes Arguments::NonEmptyBytes(size_t index, const char* name) {
  const Napi::Value value = info_[index];
  const bool typed = value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  if (!Expect(typed, name, "a Uint8Array")) return {};
  Napi::Uint8Array array = value.As<Napi::Uint8Array>();
  if (array.ByteLength() == 0) {
    Reject(Napi::RangeError::New(info_.Env(), std::string(name) + " must not be empty"));
    return {};
  }
  return {array.Data(), array.ByteLength()};
}

Napi::Function Arguments::Function(size_t index, const char* name) {
  const Napi::Value value = info_[index];
  return Expect(value.IsFunction(), name, "a function") ? value.As<Napi::Function>() : Napi::Function();
}

void ThrowSystemError(Napi::Env env, Status status) {
  const Napi::HandleScope scope(env);
  const Description description = Describe(status.error);
  const std::string message = description.code + ": " + description.text + ", " + status.syscall;
  const Napi::Error error = Napi::Error::New(env, message);
  if (env.IsExceptionPending()) return;
  error.Set("code", description.code);
  error.Set("errno", static_cast<double>(description.number));
  error.Set("syscall", status.syscall);
  if (!env.IsExceptionPending()) error.ThrowAsJavaScriptException();
}

Napi::Value Done(Napi::Env env, Status status) {
  if (!status.ok()) ThrowSystemError(env, status);
  return env.Undefined();
}

}  // namespace handover
