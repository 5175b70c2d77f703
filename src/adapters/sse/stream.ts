/** One event stream: the app's end of it, wherever its bytes go. */
import { EventEmitter } from 'node:events'
import { nowMs } from '../../sys/clock.js'
import { formatComment, formatEvent, type ServerEvent } from './format.js'
import type { Output } from './output.js'
import type { StreamRecord } from './record.js'
import type { CloseReason, EventStream, StreamEvents } from './types.js'

/** Between two looks of a heartbeat that is due whether its socket is live by now. */
const HELD_MS = 20
const BEAT = formatComment('')

export interface Limits {
  readonly heartbeatMs: number
  readonly maxQueuedBytes: number
}

export class Stream<Session> extends EventEmitter<StreamEvents> implements EventStream<Session> {
  session!: Session
  lastEventId = ''
  readonly stays: string | undefined
  readonly #limits: Limits
  readonly #onOver: () => void
  #output: Output | undefined
  #phase: 'open' | 'closing' | 'closed' | 'moved' = 'open'
  #reason: CloseReason = 'client'
  #beatAtMs = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  /** @param onOver called before 'close', and when it is another process'. */
  constructor(limits: Limits, onOver: () => void, stays?: string) {
    super()
    this.#limits = limits
    this.#onOver = onOver
    this.stays = stays
  }

  /** @param beatAtMs when the first heartbeat is due. */
  start(output: Output, beatAtMs: number | null = null): void {
    this.#output = output
    const { heartbeatMs } = this.#limits
    if (heartbeatMs === 0) return
    const nextMs = nowMs() + heartbeatMs
    this.#beatAtMs = Math.min(beatAtMs ?? nextMs, nextMs)
    this.#arm(this.#beatAtMs - nowMs())
  }

  get isOpen(): boolean {
    return this.#phase === 'open'
  }

  get queuedBytes(): number {
    return this.#output?.queuedBytes ?? 0
  }

  get notNow(): string | undefined {
    return this.#output?.notNow
  }

  send(event: ServerEvent): boolean {
    return this.write(formatEvent(event), event.id)
  }

  comment(text = ''): boolean {
    return this.write(formatComment(text))
  }

  /** What `formatEvent` has made, of an event with that id. */
  write(bytes: Uint8Array, id?: ServerEvent['id']): boolean {
    const output = this.#output
    if (output === undefined || this.#phase !== 'open') return false
    if (output.queuedBytes > this.#limits.maxQueuedBytes) {
      this.#reason = 'slow'
      this.#phase = 'closing'
      output.destroy()
      return false
    }
    if (id !== undefined) this.lastEventId = String(id)
    // Not the timer: it looks here when it fires.
    if (this.#beatAtMs !== Number.POSITIVE_INFINITY) this.#beatAtMs = nowMs() + this.#limits.heartbeatMs
    return output.write(bytes)
  }

  close(): void {
    if (this.#phase !== 'open') return
    this.#phase = 'closing'
    this.#reason = 'closed'
    this.#output?.end()
  }

  /** The app has closed it in another process: the last bytes are on their way. */
  closeAgain(): void {
    this.#phase = 'closing'
    this.#reason = 'closed'
    this.#output?.finish()
  }

  /** The response is over. */
  over(): void {
    if (this.#phase === 'closed' || this.#phase === 'moved') return
    this.#end('closed')
    this.emit('close', this.#reason)
  }

  /** It goes on elsewhere: nobody is told. */
  moved(): void {
    this.#end('moved')
    this.removeAllListeners()
  }

  record(): StreamRecord {
    const { chunked, last } = (this.#output as Output).framing
    const heartbeatAtMs = this.#beatAtMs === Number.POSITIVE_INFINITY ? null : this.#beatAtMs
    return { chunked, last, closing: this.#phase === 'closing', lastEventId: this.lastEventId, heartbeatAtMs }
  }

  /** It has gone on in the predecessor since it was restored here. */
  follow({ lastEventId, heartbeatAtMs, closing }: StreamRecord): void {
    this.lastEventId = lastEventId
    if (closing && this.#phase === 'open') this.closeAgain()
    if (heartbeatAtMs !== null && this.#beatAtMs !== Number.POSITIVE_INFINITY) this.#beatAtMs = heartbeatAtMs
  }

  #end(phase: 'closed' | 'moved'): void {
    this.#phase = phase
    clearTimeout(this.#timer)
    this.#onOver()
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => this.#beat(), Math.max(1, ms)).unref()
  }

  #beat(): void {
    const output = this.#output
    if (output === undefined || this.#phase !== 'open') return
    const leftMs = this.#beatAtMs - nowMs()
    if (leftMs > 1) {
      this.#arm(leftMs)
    } else if (output.isHeld) {
      // Until commit the predecessor beats; what were written here would be sent as well.
      this.#arm(HELD_MS)
    } else {
      // What is queued will show the client, and a proxy, that somebody is there.
      if (output.queuedBytes === 0) this.write(BEAT)
      else this.#beatAtMs = nowMs() + this.#limits.heartbeatMs
      this.#arm(this.#beatAtMs - nowMs())
    }
  }
}
