/** When a program that does not join is ready: it says so, answers a probe, or has lived long enough. */
import { HandoverError } from '../errors.js'
import { type ProbeTarget, probe } from './probe.js'

/**
 * 'auto': it joins, or says READY=1 on NOTIFY_SOCKET. 'notify': it says READY=1; it is not asked to join. 'alive': it need
 * say nothing. A URL, tcp://HOST:PORT or http://HOST:PORT/PATH: one of its own processes answers there.
 */
export type ReadyWhen = 'auto' | 'notify' | 'alive' | `tcp://${string}` | `http://${string}`

/** How long a program that says nothing must have lived. */
const ALIVE_MS = 1_000
const PROBE_EVERY_MS = 50

export interface ReadinessContext {
  readonly when: ReadyWhen
  /** How long it must go on living afterwards. */
  readonly settleMs: number | undefined
  /** The processes a probe may be answered by. */
  family(): number[]
  onReady(): void
}

export class Readiness {
  readonly #context: ReadinessContext
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  constructor(context: ReadinessContext) {
    this.#context = context
    const { when, settleMs } = context
    if (when === 'alive') this.#settle(settleMs ?? ALIVE_MS)
    const target = probeTarget(when)
    if (target !== undefined) void this.#probe(target)
  }

  /** It has said READY=1. */
  notified(): void {
    const { when, settleMs } = this.#context
    if (when === 'auto' || when === 'notify') this.#settle(settleMs ?? 0)
  }

  /** Its processes have ended, or it joins. */
  close(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  #settle(settleMs: number): void {
    if (this.#isOver || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      if (!this.#isOver) this.#context.onReady()
      this.close()
    }, settleMs)
  }

  async #probe(target: ProbeTarget): Promise<void> {
    // What fails here, a descriptor for the connection or for the look, may succeed the next time.
    while (!this.#isOver && !(await probe(target, this.#context.family).catch(() => false)))
      await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS))
    this.#settle(this.#context.settleMs ?? 0)
  }
}

/** What is to be probed; undefined when nothing is. @throws HandoverError HANDOVER_USAGE */
export function probeTarget(when: string): ProbeTarget | undefined {
  if (when === 'auto' || when === 'notify' || when === 'alive') return undefined
  const target = parseTarget(when)
  if (target !== undefined) return target
  throw new HandoverError(
    'HANDOVER_USAGE',
    `--ready ${JSON.stringify(when)} must be auto, notify, alive, tcp://HOST:PORT or http://HOST:PORT/PATH`,
  )
}

/** Undefined when it is neither tcp://HOST:PORT nor http://HOST:PORT/PATH. */
export function parseTarget(url: string): ProbeTarget | undefined {
  const [, scheme, authority = ''] = /^(tcp|http):\/\/([^/?#]+)/.exec(url) ?? []
  const [, host = '', digits = ''] = /^(.+):(\d{1,5})$/.exec(authority) ?? []
  const port = Number(digits)
  const rest = url.slice(`${scheme}://${authority}`.length)
  if (scheme === undefined || port < 1 || port > 65535 || /[\s\p{C}]/u.test(url) || (scheme === 'tcp' && rest !== ''))
    return undefined
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port, authority, path: scheme === 'tcp' ? undefined : rest || '/' }
}
