/**
 * The native addon, typed. The only module that loads it; everything here is a thin call of the kernel's.
 *
 * System errors are thrown as `Error` with `code` ('EMFILE'), `errno` (negative) and `syscall`, as Node's own are.
 * "Would block" is a value (`false`, `undefined`), never an error.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { HandoverError, messageOf } from '../errors.js'

/** Readiness bits of poll(2); the same on every Linux. */
export const POLLIN = 1
export const POLLOUT = 4
export const POLLERR = 8
export const POLLHUP = 16

/** Most descriptors one message carries: SCM_MAX_FD of the kernel (include/net/scm.h). */
export const MAX_DESCRIPTORS = 253

/** Watches a descriptor from the event loop (uv_poll_t of the thread's own loop): no polling, no blocked thread. */
export interface Watcher {
  /** Starts or changes what is watched: bits POLLIN | POLLOUT. */
  start(events: number): void
  stop(): void
  /** Stops for ever. The descriptor stays open: close it after, never before (epoll would keep a stale entry). */
  close(): void
  ref(): void
  unref(): void
}

export interface Binding {
  /** SOCK_SEQPACKET pair, non-blocking, CLOEXEC. */
  socketpair(): [number, number]
  /** SOCK_STREAM pair, non-blocking, CLOEXEC: what a net.Socket can be made of. */
  streampair(): [number, number]
  /**
   * sendmsg with SCM_RIGHTS, MSG_NOSIGNAL | MSG_DONTWAIT; whole or not at all. `false` when it would block.
   * More than 253 descriptors, or an empty payload, throws RangeError before the call.
   */
  send(fd: number, payload: Uint8Array, descriptors: readonly number[]): boolean
  /**
   * recvmsg into `into` with MSG_CMSG_CLOEXEC | MSG_DONTWAIT. `undefined` when it would block; `bytes: 0` at end of file.
   * `pid` is the sender's, on a socket of `bindNotify`; absent there when it lies outside this process' PID namespace.
   * On MSG_CTRUNC (code ECTRUNC) or MSG_TRUNC (code EMSGSIZE) every descriptor received is closed, then it throws.
   */
  receive(fd: number, into: Uint8Array): { bytes: number; descriptors: number[]; pid?: number } | undefined
  /** poll(2), blocking this thread up to `timeoutMs` (-1: no limit). Returns revents, one for each descriptor; retries EINTR with the time left. */
  poll(descriptors: readonly number[], events: readonly number[], timeoutMs: number): number[]
  /** F_DUPFD_CLOEXEC. */
  duplicate(fd: number): number
  close(fd: number): void
  setCloseOnExec(fd: number, on: boolean): void
  isCloseOnExec(fd: number): boolean
  /** flock(2), exclusive, without waiting: `false` when another open file holds it. Goes with the last descriptor of this one. */
  tryLock(fd: number): boolean
  /** memfd_create with MFD_CLOEXEC | MFD_ALLOW_SEALING. */
  memfd(name: string): number
  /** Adds F_SEAL_SEAL | SHRINK | GROW | WRITE: length and content are final from here on. */
  seal(fd: number): void
  /** F_GET_SEALS: true when all four seals are there; throws EINVAL when it is no memfd. */
  isSealed(fd: number): boolean
  /** SO_PEERCRED: who made the other end. */
  peerCredentials(fd: number): { pid: number; uid: number; gid: number }
  /** SO_COOKIE: the kernel's own identity of a socket, the same through every duplicate of it. */
  socketCookie(fd: number): bigint
  /** SO_ACCEPTCONN; `false` of what is no socket, or not open, too. */
  isListening(fd: number): boolean
  /** Bytes in the kernel: SIOCINQ (received, unread) and SIOCOUTQ (sent, not acknowledged). */
  queueSizes(fd: number): { receive: number; send: number }
  /**
   * Bytes that were read from, and written to, a TCP connection, by whichever process: TCP_INFO less or more what waits in the kernel. But for
   * a constant of each connection, so to be compared only. Throws EOPNOTSUPP or ENOPROTOOPT of another socket.
   */
  streamPosition(fd: number): { read: number; written: number }
  /** TCP_NODELAY, SO_KEEPALIVE, TCP_KEEPIDLE (seconds). On a socket that is not TCP noDelay is false and idle 0. */
  socketOptions(fd: number): { noDelay: boolean; keepAlive: boolean; keepAliveIdleSeconds: number }
  /** A TCP listener: SO_REUSEADDR, non-blocking, CLOEXEC; an IPv6 address is dual-stack unless `ipv6Only`. */
  listenTcp(address: string, port: number, backlog: number, ipv6Only: boolean): number
  /** A UDP socket, bound: non-blocking, CLOEXEC. `ipv6Only` means nothing to an IPv4 address. */
  bindUdp(address: string, port: number, ipv6Only: boolean, reuseAddress: boolean, reusePort: boolean): number
  /**
   * A listener on a path: non-blocking, CLOEXEC. `mode` of the path, 0 to 0o777, or -1: as the umask has it; nobody can connect
   * before it has it. Whatever is at the path already is EADDRINUSE, 108 bytes are ENAMETOOLONG.
   */
  listenUnix(path: string, backlog: number, mode: number): number
  /** SO_REUSEADDR: two UDP sockets share an address only while both have it. */
  reuseAddress(fd: number): boolean
  setReuseAddress(fd: number, on: boolean): void
  /**
   * A SEQPACKET socket bound to a path, which gets the mode 0600, and not listening: non-blocking, CLOEXEC. Whatever is at the path
   * already is EADDRINUSE, 108 bytes are ENAMETOOLONG.
   */
  bindPacket(path: string): number
  /** listen(2), also on a socket another process has bound: who connects to it sees the credentials of this one. */
  listen(fd: number, backlog: number): void
  /** Non-blocking, CLOEXEC; `undefined` when nobody waits. */
  accept(fd: number): number | undefined
  /** To what `bindPacket` has bound: ECONNREFUSED when nobody listens, EAGAIN when too many wait. Non-blocking, CLOEXEC. */
  connectPacket(path: string): number
  /** A datagram socket under an abstract name (at most 107 bytes): non-blocking, CLOEXEC, and the kernel names each sender. */
  bindNotify(name: string): number
  /**
   * A datagram socket whose messages go to that address, a path or an abstract name behind "@" (NOTIFY_SOCKET): non-blocking,
   * CLOEXEC. To be sent to with `send`.
   */
  connectNotify(address: string): number
  /**
   * getsockname(2), SO_TYPE: `family` and `type` are the kernel's numbers (AF_UNIX 1, AF_INET 2, AF_INET6 10; SOCK_STREAM 1,
   * SOCK_DGRAM 2); `host` is numeric; what there is none of is '' or 0. Throws ENOTSOCK of what is no socket.
   */
  socketName(fd: number): { family: number; type: number; host: string; port: number; path: string }
  /**
   * Starts a program in a session of its own, all signals as they are by default; returns when it runs. `program` is a path, or looked for in
   * PATH; `args` begin with its name; `descriptors` become 0, 1, 2 … in it. `namesItself` adds LISTEN_PID to `environment`.
   * `identity` is empty, or the user, the group and the supplementary groups it runs with.
   * The child is the caller's: to be reaped by `pidfdWait`, its pidfd to be closed.
   */
  spawn(
    program: string,
    args: readonly string[],
    environment: readonly string[],
    directory: string,
    descriptors: readonly number[],
    namesItself: boolean,
    identity: readonly number[],
  ): { pid: number; pidfd: number }
  /**
   * execve(2): this process becomes another program, with the descriptors that are not CLOEXEC. `program` is a path, `args` begin with
   * its name. Returns only by throwing.
   */
  execute(program: string, args: readonly string[], environment: readonly string[]): never
  /** getpwnam_r(3) and getgrouplist(3), blocking this thread; `undefined` when there is no such user. */
  lookUpUser(
    name: string,
  ): { uid: number; gid: number; groups: number[]; name: string; home: string; shell: string } | undefined
  /** getgrnam_r(3), blocking this thread; `undefined` when there is no such group. */
  lookUpGroup(name: string): number | undefined
  /** Orphans below this process become its children (PR_SET_CHILD_SUBREAPER): to be reaped by it, whoever started them. */
  adoptOrphans(): void
  pidfdOpen(pid: number): number
  /** pidfd_send_signal; `false` when the process is gone (ESRCH). Signal 0 asks only. */
  pidfdSignal(fd: number, signal: number): boolean
  /** waitid(P_PIDFD, WNOHANG | WEXITED) of an own child: `undefined` while it runs; ECHILD thrown when it is not a child, or already reaped. */
  pidfdWait(fd: number): { code: number | null; signal: number | null } | undefined
  /** RLIMIT_NOFILE. */
  descriptorLimit(): { soft: number; hard: number }
  /** Sets the soft limit, at most to the hard one. */
  setDescriptorLimit(soft: number): void
  /** Grows the descriptor table to hold `count` at once (F_DUPFD_CLOEXEC to the top, then close): each doubling later costs an RCU wait. */
  growDescriptorTable(count: number): void
  /** An epoll set of its own (epoll_create1, CLOEXEC). A watcher on it is ready while one of its members is. */
  epollSet(): number
  /** Members are ready when they can be read or their peer is gone. Remove one before it is closed: another process may keep it alive. */
  epollAdd(set: number, fd: number): void
  epollRemove(set: number, fd: number): void
  /** A member that is not ready, whatever comes, until it is unmuted. */
  epollMute(set: number, fd: number): void
  epollUnmute(set: number, fd: number): void
  /** The members that are ready now, at most `most` (1 to 4,096); does not wait. */
  epollReady(set: number, most: number): number[]
  watch(fd: number, onReady: (events: number) => void): Watcher
}

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url))

let loaded: Binding | undefined

/**
 * The addon of this platform, loaded once.
 * @throws HandoverError HANDOVER_ADDON_MISSING, naming what was tried.
 */
export function binding(): Binding {
  loaded ??= load(packageRoot)
  return loaded
}

/** Loads the addon below `root` (the package's folder). */
export function load(root: string): Binding {
  const require = createRequire(import.meta.url)
  try {
    return require('node-gyp-build')(root) as Binding
  } catch (cause) {
    const tried = `${process.platform}-${process.arch}, Node ${process.versions.node} (Node-API ${process.versions.napi})`
    throw new HandoverError(
      'HANDOVER_ADDON_MISSING',
      `handover found no native addon for ${tried} in ${root}prebuilds or ${root}build/Release: ${messageOf(cause).split('\n')[0]}`,
      { cause },
    )
  }
}
