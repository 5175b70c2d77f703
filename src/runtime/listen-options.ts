/** What an app asks for, checked, and as the supervisor is asked for it. */
import { resolve } from 'node:path'
import { HandoverError } from '../errors.js'
import { wrongPath } from '../sys/unix-path.js'
import type { CONTROL, Fields } from '../wire/messages.js'
import type { ListenOptions } from './types.js'

export type AskedSocket = Omit<Fields<typeof CONTROL, 'listen'>, 'request'>

export const DEFAULT_BACKLOG = 511

/** @throws HandoverError HANDOVER_USAGE */
export function askedOf(options: ListenOptions): AskedSocket {
  const { name, port, host, path, mode, backlog = DEFAULT_BACKLOG } = options
  if (port !== undefined && path !== undefined) wrong(name, 'it has a port and a path: two listeners need two names')
  if (path === undefined) {
    if (mode !== undefined) wrong(name, 'mode belongs to a path')
    checkPort(name, port)
    return { name, host: host ?? null, port, backlog }
  }
  if (host !== undefined) wrong(name, 'host belongs to a port')
  if (typeof path !== 'string' || path === '') wrong(name, 'path must be the path of a unix socket')
  if (path.includes('\0'))
    wrong(
      name,
      'an abstract name cannot be kept: it has no owner and no mode, and Node 20 writes it otherwise; use a path',
    )
  if (mode !== undefined && !(Number.isInteger(mode) && mode >= 0 && mode <= 0o777))
    wrong(name, `mode must be 0 to 0o777, not ${String(mode)}`)
  const absolute = resolve(path)
  const why = wrongPath(absolute)
  if (why !== undefined) wrong(name, why)
  return { name, host: null, port: 0, backlog, type: 'unix', path: absolute, ...(mode === undefined ? {} : { mode }) }
}

/** @throws HandoverError HANDOVER_USAGE */
export function checkPort(name: string, port: unknown): asserts port is number {
  if (!Number.isInteger(port) || (port as number) < 0 || (port as number) > 65535)
    wrong(name, `port must be 0 to 65535, not ${String(port)}`)
}

function wrong(name: string, why: string): never {
  throw new HandoverError('HANDOVER_USAGE', `listener "${name}": ${why}`)
}
