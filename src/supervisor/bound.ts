/** A socket the supervisor binds: of which type, to which address, and what is left of it when it is closed. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { clearStale, identify, type PathIdentity, setMode, unlinkOwn, wrongPath } from '../sys/unix-path.js'
import type { CONTROL, Fields } from '../wire/messages.js'

/** What a runtime asks for. `type` absent: tcp. `path` and `mode` of unix; `ipv6Only`, `reuseAddr` and `reusePort` of UDP. */
export type ListenerSpec = Omit<Fields<typeof CONTROL, 'listen'>, 'request'>
export type SocketType = NonNullable<ListenerSpec['type']>

export const typeOf = ({ type = 'tcp' }: ListenerSpec): SocketType => type

export interface Bound {
  readonly spec: ListenerSpec
  readonly descriptor: number
  /** Of a unix listener. */
  readonly path: PathIdentity | undefined
}

/** Throws the system's error, with the name and address. */
export async function bind(spec: ListenerSpec): Promise<Bound> {
  try {
    return typeOf(spec) === 'unix' ? await bindPath(spec) : { spec, descriptor: await bindPort(spec), path: undefined }
  } catch (error) {
    throw new Error(`listener "${spec.name}" on ${addressOf(spec, spec.port)}: ${messageOf(error)}`, { cause: error })
  }
}

/** Closes it; a path goes first, while the socket still keeps its inode from being anybody else's. */
export function unbind({ descriptor, path }: Bound): void {
  if (path !== undefined) unlinkOwn(path)
  binding().close(descriptor)
}

/** Gives its path another mode: that of the release that serves from now on. */
export function adjust({ path }: Bound, mode: number): void {
  if (path !== undefined) setMode(path, mode)
}

/** For people: `127.0.0.1:80`, `*:53/udp`, `/run/web.sock`. */
export function addressOf(spec: ListenerSpec, port: number): string {
  const { host, path } = spec
  if (path !== undefined) return path
  const address = `${host === null ? '*' : host.includes(':') ? `[${host}]` : host}:${port}`
  return typeOf(spec) === 'tcp' ? address : `${address}/udp`
}

async function bindPath(spec: ListenerSpec): Promise<Bound> {
  const { path, mode = -1, backlog } = spec
  if (path === undefined) throw new Error('there is no path')
  const wrong = wrongPath(path)
  if (wrong !== undefined) throw new Error(wrong)
  await clearStale(path)
  const descriptor = binding().listenUnix(path, backlog, mode)
  try {
    return { spec, descriptor, path: identify(path) }
  } catch (error) {
    binding().close(descriptor)
    throw error
  }
}

async function bindPort(spec: ListenerSpec): Promise<number> {
  const { host, port, backlog } = spec
  const type = typeOf(spec)
  if (type === 'tcp') {
    if (host === null) return everywhere((address) => binding().listenTcp(address, port, backlog, false))
    return binding().listenTcp(isIP(host) === 0 ? (await lookup(host)).address : host, port, backlog, false)
  }
  const { ipv6Only = false, reuseAddr = false, reusePort = false } = spec
  const family = type === 'udp4' ? 4 : 6
  const address = host ?? (family === 4 ? '0.0.0.0' : '::')
  const numeric = isIP(address) === 0 ? (await lookup(address, { family })).address : address
  if (isIP(numeric) !== family) throw new Error(`${numeric} is no address of a ${type} socket`)
  return binding().bindUdp(numeric, port, ipv6Only, reuseAddr, reusePort)
}

/** As Node does: all addresses of both families, or of IPv4 where there is no IPv6. */
function everywhere(listen: (address: string) => number): number {
  try {
    return listen('::')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
    return listen('0.0.0.0')
  }
}
