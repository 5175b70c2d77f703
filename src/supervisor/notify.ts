/**
 * The supervisor's end of sd_notify(3): one datagram socket for each generation, under an abstract name, so that no path is
 * left behind. The kernel says who sent a message; only the generation's own processes are listened to.
 */
import { randomUUID } from 'node:crypto'
import { binding, POLLIN, type Watcher } from '../sys/binding.js'
import { closeAll } from '../sys/channel.js'

/** Longest message that is read, as in systemd: PIPE_BUF. A longer one is dropped whole. */
const MAX_BYTES = 4096
/** Messages read in one turn of the loop; the rest comes in the next. */
const TURN_MESSAGES = 32
/** Longest text that is kept of a message. */
const MAX_STATUS = 256
/** A day: what is extended further ends there. */
const MAX_EXTEND_MS = 24 * 60 * 60 * 1000

/** What of a message is understood; the rest is ignored, WATCHDOG=1 and FDSTORE=1 among it. */
export interface Notification {
  readonly ready: boolean
  readonly stopping: boolean
  readonly reloading: boolean
  readonly status?: string
  /** A number of errno(3). */
  readonly errno?: number
  readonly mainPid?: number
  /** From now on. */
  readonly extendMs?: number
}

/** Reads lines of NAME=VALUE; where one comes twice the last counts. What is no such line says nothing. */
export function parseNotification(bytes: Uint8Array): Notification {
  const said = new Map<string, string>()
  for (const line of Buffer.from(bytes).toString('utf8').split('\n')) {
    const at = line.indexOf('=')
    if (at > 0) said.set(line.slice(0, at), line.slice(at + 1))
  }
  const number = (name: string, most: number): number | undefined => {
    const text = said.get(name) ?? ''
    return /^\d{1,16}$/.test(text) && Number(text) <= most ? Number(text) : undefined
  }
  const status = printable(said.get('STATUS'))
  const errno = number('ERRNO', 4095)
  const mainPid = number('MAINPID', 2 ** 22)
  const extend = number('EXTEND_TIMEOUT_USEC', Number.MAX_SAFE_INTEGER)
  return {
    ready: said.get('READY') === '1',
    stopping: said.get('STOPPING') === '1',
    reloading: said.get('RELOADING') === '1',
    ...(status === undefined ? {} : { status }),
    ...(errno === undefined ? {} : { errno }),
    ...(mainPid === undefined ? {} : { mainPid }),
    ...(extend === undefined ? {} : { extendMs: Math.min(extend / 1000, MAX_EXTEND_MS) }),
  }
}

/** It is shown on a terminal, and comes from whoever the program lets speak. */
function printable(text: string | undefined): string | undefined {
  return text?.replace(/\p{C}/gu, '').slice(0, MAX_STATUS)
}

/** A new one, which none can guess. */
export const notifyAddress = (): string => `@handover/${randomUUID()}`
export const NOTIFY_ADDRESS = /^@handover\/[0-9a-f-]{36}$/

export class NotifySocket {
  readonly #fd: number
  readonly #watcher: Watcher
  #open = true

  /** @param onMessage in the order they came, with the process that sent it; undefined when that is outside our PID namespace. */
  constructor(address: string, onMessage: (notification: Notification, sender: number | undefined) => void) {
    this.#fd = binding().bindNotify(address.slice(1))
    this.#watcher = binding().watch(this.#fd, () => this.#receive(onMessage))
    this.#watcher.start(POLLIN)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#watcher.close()
    binding().close(this.#fd)
  }

  #receive(onMessage: (notification: Notification, sender: number | undefined) => void): void {
    const into = Buffer.alloc(MAX_BYTES)
    for (let turn = 0; turn < TURN_MESSAGES && this.#open; turn++) {
      let received: ReturnType<ReturnType<typeof binding>['receive']>
      try {
        received = binding().receive(this.#fd, into)
      } catch (error) {
        // Too long, or with more descriptors than there is room for: it is gone, and the next one may be read.
        const { code } = error as NodeJS.ErrnoException
        if (code === 'EMSGSIZE' || code === 'ECTRUNC') continue
        this.close()
        return
      }
      if (received === undefined) return
      try {
        onMessage(parseNotification(into.subarray(0, received.bytes)), received.pid)
      } finally {
        // BARRIER=1: its sender waits until the descriptor is closed, that is, until all it said before is done. Any other
        // descriptor (FDSTORE=1) is not kept.
        closeAll(received.descriptors)
      }
    }
  }
}
