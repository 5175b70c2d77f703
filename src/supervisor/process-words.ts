/** What a process of a release is called, and what it says of itself. */
import type { CONTROL, ControlMessage, Fields } from '../wire/messages.js'

export type GenerationState = 'starting' | 'ready' | 'serving' | 'draining' | 'gone'

export type Said<K extends ControlMessage['kind']> = Fields<typeof CONTROL, K>
export type Status = Said<'status'>

export interface GenerationEvents {
  listen: [Said<'listen'>]
  ready: []
  active: [Said<'active'>]
  committed: [Said<'committed'>]
  aborted: [Said<'aborted'>]
  drained: [Said<'drained'>]
  /** Of the transfer with this number, in a group: little is left to copy; the successor has voted. */
  settled: [number]
  given: [Said<'given'>]
  voted: [number]
  unpacked: [Said<'unpacked'>]
  /** Of a keeper: a bag. The descriptor is the listener's. */
  packed: [Said<'packed'>, number]
  /** A listening socket that it serves on, for whoever owns the descriptor from here on. */
  kept: [Said<'kept'>, number]
  rejoined: [Said<'rejoined'>]
  /** The process has exited; always the last event. */
  exit: []
}

export interface Identity {
  /** Counts the releases that were started, and restarts: the same for all workers that were started together. */
  readonly number: number
  readonly worker: number
  /** How many serve side by side. */
  readonly workers: number
  /** Counts all processes. */
  readonly start: number
}
