/** Where a stream's bytes go. */
import type { Socket } from 'node:net'

export interface Output {
  /** False when the client takes less than it is given: `drained` is called when it has caught up. */
  write(bytes: Uint8Array): boolean
  /** Ends the response. `closed` is called when it is over. */
  end(): void
  /** The end has been written in another process. */
  finish(): void
  /** Cuts the connection off. */
  destroy(): void
  /** Bytes the kernel has not taken. */
  readonly queuedBytes: number
  /** True until commit. */
  readonly isHeld: boolean
  /** Why it cannot move now, or undefined. */
  readonly notNow: string | undefined
  readonly framing: Framing
}

export interface Framing {
  readonly chunked: boolean
  /** The connection ends with the response. */
  readonly last: boolean
}

export interface OutputEvents {
  drained(): void
  closed(): void
  /** It may be movable from now on, or not any more. */
  changed(): void
}

/** The ends of a socket that Node's HTTP server does not look after. Returns what takes the listeners off again. */
export function listen(socket: Socket, listeners: Readonly<Record<string, () => void>>): () => void {
  for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener)
  return () => {
    for (const [event, listener] of Object.entries(listeners)) socket.removeListener(event, listener)
  }
}
