/** What systemd has given this process in its environment; nothing when it is no service of systemd's. */
import type { PassedListener } from '../release.js'
import { passedDescriptors } from './activation.js'
import { NotifyClient } from './notify-client.js'
import { STORED, SystemdStore } from './store.js'

export interface Manager {
  /** Undefined without NOTIFY_SOCKET, or where its address is of a kind that is not known here. */
  readonly client: NotifyClient | undefined
  /** Undefined where nothing is stored: there is no client, or FileDescriptorStoreMax= is 0 or not known. */
  readonly store: SystemdStore | undefined
  /** Of socket units. The caller owns them. */
  readonly sockets: readonly PassedListener[]
  readonly watchdogMs: number | undefined
}

/** To be called once: it takes the descriptors over. */
export function managerOf(environment: NodeJS.ProcessEnv, pid: number): Manager {
  const passed = passedDescriptors(environment, pid)
  const address = environment['NOTIFY_SOCKET'] ?? ''
  const client = /^[/@]./.test(address) ? new NotifyClient(address) : undefined
  const stored = passed.filter(({ name }) => name.startsWith(STORED))
  const sockets = passed.filter(({ name }) => !name.startsWith(STORED))
  return {
    client,
    store: client && new SystemdStore(client, stored),
    sockets,
    watchdogMs: client && watchdogOf(environment, pid),
  }
}

/** sd_watchdog_enabled(3). */
function watchdogOf(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  const usec = Number(environment['WATCHDOG_USEC'])
  const isOurs = (environment['WATCHDOG_PID'] ?? String(pid)) === String(pid)
  return isOurs && usec > 0 && Number.isFinite(usec) ? usec / 1000 : undefined
}
