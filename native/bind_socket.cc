#include <climits>

#include "arguments.h"
#include "bindings.h"
#include "posix_listen.h"
#include "posix_message.h"
#include "posix_notify.h"
#include "posix_socket.h"
#include "posix_tcp.h"

namespace handover {
namespace {

template <Status (*Make)(OwnedFd*)>
Napi::Value Pair(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  OwnedFd ends[2];
  const Status status = Make(ends);
  if (!status.ok()) return Done(env, status);
  Napi::Array pair = Napi::Array::New(env, 2);
  if (pair.IsEmpty() || !pair.Set(0u, ends[0].get()) || !pair.Set(1u, ends[1].get())) return {};
  for (OwnedFd& end : ends) end.Release();
  return pair;
}

Napi::Value Send(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  const std::vector<int> descriptors = arguments.Descriptors(2, "descriptors");
  if (descriptors.size() > posix::kMaxDescriptors) {
    arguments.Reject(Napi::RangeError::New(
        info.Env(), "descriptors must be at most 253, the kernel's limit for one message (SCM_MAX_FD); there are " +
                        std::to_string(descriptors.size())));
  }
  // Last: reading the array may have run JavaScript, which may have detached the payload's memory.
  const Bytes payload = arguments.NonEmptyBytes(1, "payload");
  if (arguments.failed()) return {};
  bool sent = false;
  const Status status = posix::Send(fd, payload.data, payload.length, descriptors, &sent);
  if (!status.ok()) return Done(info.Env(), status);
  return Napi::Boolean::New(info.Env(), sent);
}

Napi::Value Receive(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  const Bytes into = arguments.NonEmptyBytes(1, "into");
  if (arguments.failed()) return {};
  const Napi::Env env = info.Env();
  posix::Received received;
  const Status status = posix::Receive(fd, into.data, into.length, &received);
  if (!status.ok() || received.would_block) return Done(env, status);

  // A step that fails (out of memory, a worker being terminated) returns at once, and `received` closes what it owns.
  Napi::Object result = Napi::Object::New(env);
  Napi::Array descriptors = Napi::Array::New(env, received.descriptors.size());
  if (result.IsEmpty() || descriptors.IsEmpty()) return {};
  for (uint32_t index = 0; index < received.descriptors.size(); index++) {
    if (!descriptors.Set(index, received.descriptors[index].get())) return {};
  }
  if (!result.Set("bytes", static_cast<double>(received.bytes)) || !result.Set("descriptors", descriptors)) return {};
  if (received.pid != 0 && !result.Set("pid", received.pid)) return {};
  for (OwnedFd& descriptor : received.descriptors) descriptor.Release();
  return result;
}

Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  posix::PeerCredentials peer;
  const Status status = posix::GetPeerCredentials(fd, &peer);
  if (!status.ok()) return Done(info.Env(), status);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("pid", peer.pid);
  result.Set("uid", peer.uid);
  result.Set("gid", peer.gid);
  return result;
}

Napi::Value SocketCookie(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  uint64_t cookie = 0;
  const Status status = posix::GetSocketCookie(fd, &cookie);
  if (!status.ok()) return Done(info.Env(), status);
  return Napi::BigInt::New(info.Env(), cookie);
}

Napi::Value IsListening(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  bool listening = false;
  const Status status = posix::IsListening(fd, &listening);
  if (!status.ok()) return Done(info.Env(), status);
  return Napi::Boolean::New(info.Env(), listening);
}

Napi::Value QueueSizes(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  posix::QueueSizes sizes;
  const Status status = posix::GetQueueSizes(fd, &sizes);
  if (!status.ok()) return Done(info.Env(), status);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("receive", sizes.receive);
  result.Set("send", sizes.send);
  return result;
}

Napi::Value StreamPosition(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  posix::StreamPosition position;
  const Status status = posix::GetStreamPosition(fd, &position);
  if (!status.ok()) return Done(info.Env(), status);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("read", static_cast<double>(position.read));
  result.Set("written", static_cast<double>(position.written));
  return result;
}

Napi::Value SocketOptions(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  posix::SocketOptions options;
  const Status status = posix::GetSocketOptions(fd, &options);
  if (!status.ok()) return Done(info.Env(), status);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("noDelay", options.no_delay);
  result.Set("keepAlive", options.keep_alive);
  result.Set("keepAliveIdleSeconds", options.keep_alive_idle_seconds);
  return result;
}

Napi::Value ListenTcp(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string address = arguments.String(0, "address");
  const auto port = static_cast<uint16_t>(arguments.Integer(1, "port", 0, 65535));
  const int backlog = static_cast<int>(arguments.Integer(2, "backlog", 0, INT_MAX));
  const bool ipv6_only = arguments.Boolean(3, "ipv6Only");
  if (arguments.failed()) return {};
  OwnedFd listener;
  const Status status = posix::ListenTcp(address.c_str(), port, backlog, ipv6_only, &listener);
  return GiveDescriptor(info.Env(), status, &listener);
}

Napi::Value BindUdp(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string address = arguments.String(0, "address");
  const auto port = static_cast<uint16_t>(arguments.Integer(1, "port", 0, 65535));
  posix::UdpOptions options;
  options.ipv6_only = arguments.Boolean(2, "ipv6Only");
  options.reuse_address = arguments.Boolean(3, "reuseAddress");
  options.reuse_port = arguments.Boolean(4, "reusePort");
  if (arguments.failed()) return {};
  OwnedFd result;
  const Status status = posix::BindUdp(address.c_str(), port, options, &result);
  return GiveDescriptor(info.Env(), status, &result);
}

Napi::Value ListenUnix(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.String(0, "path");
  const int backlog = static_cast<int>(arguments.Integer(1, "backlog", 0, INT_MAX));
  const int mode = static_cast<int>(arguments.Integer(2, "mode", -1, 0777));
  if (arguments.failed()) return {};
  OwnedFd listener;
  const Status status = posix::ListenUnix(path, backlog, mode, &listener);
  return GiveDescriptor(info.Env(), status, &listener);
}

Napi::Value ReuseAddress(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  bool on = false;
  const Status status = posix::GetReuseAddress(fd, &on);
  if (!status.ok()) return Done(info.Env(), status);
  return Napi::Boolean::New(info.Env(), on);
}

Napi::Value SetReuseAddress(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  const bool on = arguments.Boolean(1, "on");
  if (arguments.failed()) return {};
  return Done(info.Env(), posix::SetReuseAddress(fd, on));
}

Napi::Value ConnectNotify(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string address = arguments.String(0, "address");
  if (arguments.failed()) return {};
  OwnedFd socket;
  const Status status = posix::ConnectNotify(address, &socket);
  return GiveDescriptor(info.Env(), status, &socket);
}

Napi::Value SocketName(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Descriptor(0, "fd");
  if (arguments.failed()) return {};
  posix::SocketName name;
  const Status status = posix::GetSocketName(fd, &name);
  if (!status.ok()) return Done(info.Env(), status);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("family", name.family);
  result.Set("type", name.type);
  result.Set("host", name.host);
  result.Set("port", name.port);
  result.Set("path", name.path);
  return result;
}

}  // namespace

void BindSockets(Napi::Object exports) {
  Bind<Pair<posix::SocketPair>>(exports, "socketpair");
  Bind<Pair<posix::StreamPair>>(exports, "streampair");
  Bind<Send>(exports, "send");
  Bind<Receive>(exports, "receive");
  Bind<PeerCredentials>(exports, "peerCredentials");
  Bind<SocketCookie>(exports, "socketCookie");
  Bind<IsListening>(exports, "isListening");
  Bind<QueueSizes>(exports, "queueSizes");
  Bind<StreamPosition>(exports, "streamPosition");
  Bind<SocketOptions>(exports, "socketOptions");
  Bind<ListenTcp>(exports, "listenTcp");
  Bind<BindUdp>(exports, "bindUdp");
  Bind<ListenUnix>(exports, "listenUnix");
  Bind<ReuseAddress>(exports, "reuseAddress");
  Bind<SetReuseAddress>(exports, "setReuseAddress");
  Bind<ConnectNotify>(exports, "connectNotify");
  Bind<SocketName>(exports, "socketName");
}

}  // namespace handover
