/** Listening sockets that outlive their supervisor, and come back to the next one. */

import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { binding } from '../sys/binding.js'
import { identify } from '../sys/unix-path.js'
import { type Bound, type ListenerSpec, typeOf } from './bound.js'

/** Where they are kept. Descriptors stay whose they are. */
export interface ListenerStore {
  /** Those of the supervisor before. The caller owns them. */
  take(): { readonly name: string; readonly descriptor: number }[]
  keep(name: string, descriptor: number): void
  forget(name: string, descriptor: number): void
}

/** Where what runtimes served is kept while there is no supervisor, as bags: descriptors that hold sockets and state. */
export interface SessionStore {
  /** Those of the supervisor before. The caller owns them. */
  take(): { readonly worker: number; readonly descriptors: readonly number[] }[]
  /** They stay the caller's. Resolves when they are kept; false when one was not taken, or that was not heard of in time. */
  keep(worker: number, bags: readonly number[]): Promise<boolean>
}

const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2

/**
 * A listening socket from elsewhere, as if it had been bound here; undefined when it is none that a runtime can have: another
 * kind of socket, or no socket at all.
 */
export function boundFrom(name: string, descriptor: number): (Bound & { port: number }) | undefined {
  let at: ReturnType<ReturnType<typeof binding>['socketName']>
  try {
    at = binding().socketName(descriptor)
  } catch {
    return undefined
  }
  const { family, type, host, port, path } = at
  const rest = { name, port, backlog: 0 }
  const isListener = type === SOCK_STREAM && binding().isListening(descriptor)
  if (family === AF_UNIX && isListener && path !== '') {
    let identity: ReturnType<typeof identify> | undefined
    try {
      identity = identify(path)
    } catch {
      // Somebody has removed the path: it is another socket's from here on.
      return undefined
    }
    return { spec: { ...rest, host: null, type: 'unix', path }, descriptor, path: identity, port: 0 }
  }
  if (family !== AF_INET && family !== AF_INET6) return undefined
  if (isListener) return { spec: { ...rest, host }, descriptor, path: undefined, port }
  if (type !== SOCK_DGRAM) return undefined
  return { spec: { ...rest, host, type: family === AF_INET ? 'udp4' : 'udp6' }, descriptor, path: undefined, port }
}

/** That socket, which the kernel has told the address of, is what is asked for. */
export async function isAsked(
  { spec, port }: { spec: ListenerSpec; port: number },
  asked: ListenerSpec,
): Promise<boolean> {
  const type = typeOf(asked)
  if (typeOf(spec) !== type || spec.name !== asked.name) return false
  if (type === 'unix') return spec.path === asked.path
  if (asked.port !== 0 && asked.port !== port) return false
  if (asked.host === null) return spec.host === '::' || (spec.host === '0.0.0.0' && type !== 'udp6')
  if (isIP(asked.host) !== 0) return spec.host === asked.host
  const family = type === 'tcp' ? 0 : type === 'udp4' ? 4 : 6
  return lookup(asked.host, { family }).then(
    ({ address }) => address === spec.host,
    () => false,
  )
}
