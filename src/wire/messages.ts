/**
 * Every message there is: who sends it, how many descriptors come with it, what it says. The types, the checks, the
 * tables in PROTOCOL.md and the fuzz tests derive from these two literals.
 *
 * PROTOCOL_VERSION is bumped when the meaning of a message, its order or its descriptors change; a side states the range
 * it speaks and the highest common one is used. A field that may be absent can be added without a bump.
 */
import * as v from 'valibot'
import {
  bytes,
  checksum,
  chosen,
  count,
  followed,
  milliseconds,
  name,
  offered,
  pause,
  phaseDuration,
  protocolRange,
  readable,
  reason,
  refusal,
  text,
  version,
  worker,
} from './fields.js'
import {
  isSessionRecord,
  isSessionUpdate,
  MAX_BATCH,
  MAX_MOVE,
  MAX_UPDATE,
  type SessionRecord,
  type SessionUpdate,
} from './session-record.js'

export const PROTOCOL_VERSION = 1
export const PROTOCOL_RANGE = { min: 1, max: PROTOCOL_VERSION } as const

export interface MessageRow {
  readonly from: 'supervisor' | 'runtime' | 'predecessor' | 'successor' | 'keeper'
  /** Descriptors: exactly this many, or one for each entry of `fields.sessions`; and behind those the batch's token. */
  readonly descriptors: number | 'sessions' | 'sessions and token'
  readonly fields: v.GenericSchema
}
export type MessageTable = Readonly<Record<string, MessageRow>>

const request = count
/** Where it is absent: tcp. */
const socketType = v.picklist(['tcp', 'udp4', 'udp6', 'unix'])
/** In bytes of UTF-8 at most 107, which bind(2) finds out. */
const socketPath = v.pipe(v.string(), v.minLength(1), v.maxLength(107))
const fileMode = v.pipe(count, v.maxValue(0o777))
const port = v.pipe(count, v.maxValue(65535))
/** A listening socket as its runtime sees it: the kernel's cookie, and the port it is bound to. */
const listener = v.object({ name, cookie: v.pipe(v.string(), v.regex(/^\d{1,20}$/)), port })

/** What a listening socket is asked for by, and given back with. */
const listening = {
  name,
  host: v.nullable(name),
  port,
  backlog: count,
  type: v.optional(socketType),
  path: v.optional(socketPath),
  mode: v.optional(fileMode),
  ipv6Only: v.optional(v.boolean()),
  reuseAddr: v.optional(v.boolean()),
  reusePort: v.optional(v.boolean()),
}
const drained = {
  drained: count,
  dropped: count,
  reasons: v.array(reason),
  followed: v.optional(followed),
  forced: v.optional(v.array(reason)),
}

/** Between the supervisor and each runtime, for as long as both live. */
export const CONTROL = {
  hello: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({
      protocol: protocolRange,
      pid: count,
      node: name,
      release: name,
      retires: v.optional(v.boolean()),
      groups: v.optional(v.boolean()),
    }),
  },
  welcome: {
    from: 'supervisor',
    descriptors: 0,
    fields: v.object({
      protocol: version,
      generation: version,
      role: v.picklist(['first', 'successor']),
      worker: v.optional(worker),
    }),
  },
  listen: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({ request, ...listening }),
  },
  listening: { from: 'supervisor', descriptors: 1, fields: v.object({ request, type: v.optional(socketType) }) },
  unavailable: { from: 'supervisor', descriptors: 0, fields: v.object({ request, reason: text }) },
  ready: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({ sessions: v.array(readable), states: v.array(readable) }),
  },
  activate: { from: 'supervisor', descriptors: 0, fields: v.object({}) },
  /** Nobody takes over what it serves: only to a runtime that has said `retires`. Answered by `committed` or `aborted`. */
  retire: {
    from: 'supervisor',
    descriptors: 0,
    fields: v.object({
      drainMs: milliseconds,
      policy: v.picklist(['all-or-nothing', 'best-effort']),
      untilMs: milliseconds,
    }),
  },
  /** Descriptors: the transfer channel, the other side's pidfd, the fence token. */
  transfer: {
    from: 'supervisor',
    descriptors: 3,
    fields: v.object({
      side: v.picklist(['predecessor', 'successor']),
      checkMs: milliseconds,
      freezeMs: milliseconds,
      drainMs: milliseconds,
      policy: v.optional(v.picklist(['all-or-nothing', 'best-effort'])),
      copyMs: v.optional(milliseconds),
      unsettled: v.optional(v.picklist(['freeze', 'refuse'])),
      group: v.optional(count),
    }),
  },
  /** The next transfer with this number is one of several that commit together. Descriptors: those of the ballot. */
  group: { from: 'supervisor', descriptors: 2, fields: v.object({ group: count }) },
  settled: { from: 'runtime', descriptors: 0, fields: v.object({ group: count }) },
  freeze: { from: 'supervisor', descriptors: 0, fields: v.object({ group: count }) },
  voted: { from: 'runtime', descriptors: 0, fields: v.object({ group: count }) },
  /** From one that serves to another, at most so many sessions; without a number all, and it is to go. Descriptor: the channel. */
  give: {
    from: 'supervisor',
    descriptors: 1,
    fields: v.object({
      side: v.picklist(['giver', 'taker']),
      give: count,
      sessions: v.optional(count),
      checkMs: milliseconds,
      freezeMs: milliseconds,
      drainMs: milliseconds,
    }),
  },
  given: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({ give: count, sessions: count, pauseMs: v.nullable(pause), reasons: v.array(reason) }),
  },
  active: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({ sessions: count, pauseMs: v.nullable(pause), listeners: v.array(listener) }),
  },
  committed: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({
      moved: count,
      phases: v.array(phaseDuration),
      reasons: v.optional(v.array(reason)),
      left: v.optional(count),
    }),
  },
  aborted: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({
      side: v.picklist(['predecessor', 'successor']),
      outcome: v.picklist(['refused', 'failed']),
      reasons: v.array(reason),
      phases: v.array(phaseDuration),
      pauseMs: v.nullable(pause),
    }),
  },
  drained: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object(drained),
  },
  /** To a keeper: what a supervisor before had kept, a bag at a time. After the last it answers `unpacked`. */
  unpack: { from: 'supervisor', descriptors: 1, fields: v.object({ last: v.boolean() }) },
  unpacked: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({ sessions: count, states: count, reasons: v.array(reason) }),
  },
  /** To a keeper: all it has is to go into bags. It answers with a `packed` for each. Descriptor: the reading end. */
  pack: { from: 'supervisor', descriptors: 0, fields: v.object({}) },
  packed: { from: 'runtime', descriptors: 1, fields: v.object({ sessions: count, last: v.boolean() }) },
  ask: { from: 'supervisor', descriptors: 0, fields: v.object({ request, settled: v.optional(v.boolean()) }) },
  status: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({
      request,
      sessions: v.array(v.object({ name, count })),
      unregistered: count,
      followed: v.optional(count),
      following: v.optional(v.boolean()),
    }),
  },
  /** To a supervisor that has come after the one that gave it: a listening socket, with what it was asked for by. */
  kept: { from: 'runtime', descriptors: 1, fields: v.object(listening) },
  /**
   * Behind those, once: how things stand. `transfers`: a transfer of sockets and state is under way, and what becomes of it is still
   * to be said. `drained`: as it was said, or would have been.
   */
  rejoined: {
    from: 'runtime',
    descriptors: 0,
    fields: v.object({
      generation: version,
      phase: v.picklist(['waiting', 'serving', 'draining']),
      transfers: v.boolean(),
      states: v.array(readable),
      listeners: v.array(listener),
      drained: v.optional(v.object(drained)),
    }),
  },
} as const satisfies MessageTable

/** Between predecessor and successor, for one transfer. */
export const TRANSFER = {
  offer: {
    from: 'predecessor',
    descriptors: 0,
    fields: v.object({
      protocol: protocolRange,
      sessions: v.array(offered),
      states: v.array(offered),
      descriptors: count,
      follows: v.optional(v.boolean()),
    }),
  },
  accept: {
    from: 'successor',
    descriptors: 0,
    fields: v.object({
      protocol: version,
      sessions: v.array(chosen),
      states: v.array(chosen),
      follows: v.optional(v.boolean()),
    }),
  },
  refuse: { from: 'successor', descriptors: 0, fields: v.object({ reasons: v.array(reason) }) },
  state: { from: 'predecessor', descriptors: 0, fields: v.object({ name, bytes, checksum }) },
  batch: {
    from: 'predecessor',
    descriptors: 'sessions',
    fields: v.object({
      index: count,
      sessions: v.pipe(v.array(v.custom<SessionRecord>(isSessionRecord)), v.minLength(1), v.maxLength(MAX_BATCH)),
    }),
  },
  update: {
    from: 'predecessor',
    descriptors: 0,
    fields: v.object({
      index: count,
      changes: v.pipe(v.array(v.custom<SessionUpdate>(isSessionUpdate)), v.minLength(1), v.maxLength(MAX_UPDATE)),
    }),
  },
  gone: {
    from: 'predecessor',
    descriptors: 0,
    fields: v.object({
      index: count,
      ids: v.pipe(v.array(v.pipe(v.number(), v.safeInteger())), v.minLength(1), v.maxLength(MAX_UPDATE)),
    }),
  },
  freeze: { from: 'predecessor', descriptors: 0, fields: v.object({ frozenAtMs: milliseconds }) },
  received: {
    from: 'successor',
    descriptors: 0,
    fields: v.object({ index: count, refused: v.optional(v.pipe(v.array(refusal), v.maxLength(MAX_UPDATE))) }),
  },
  manifest: {
    from: 'predecessor',
    descriptors: 0,
    fields: v.object({ parts: count, sessions: count, states: count, digest: checksum, nextId: v.optional(count) }),
  },
  prepared: { from: 'successor', descriptors: 0, fields: v.object({ digest: checksum }) },
  commit: { from: 'predecessor', descriptors: 0, fields: v.object({}) },
  abort: { from: 'predecessor', descriptors: 0, fields: v.object({ reasons: v.array(reason) }) },
  active: { from: 'successor', descriptors: 0, fields: v.object({}) },
  /** After commit, if both have said `follows`. Descriptors: the sessions', then the token of this batch. */
  move: {
    from: 'predecessor',
    descriptors: 'sessions and token',
    fields: v.object({
      index: count,
      sessions: v.pipe(v.array(v.custom<SessionRecord>(isSessionRecord)), v.minLength(1), v.maxLength(MAX_MOVE)),
    }),
  },
  held: {
    from: 'successor',
    descriptors: 0,
    fields: v.object({ index: count, refused: v.optional(v.pipe(v.array(refusal), v.maxLength(MAX_MOVE))) }),
  },
  moved: { from: 'successor', descriptors: 0, fields: v.object({ index: count }) },
} as const satisfies MessageTable

export type Fields<T extends MessageTable, K extends keyof T> = v.InferOutput<T[K]['fields']>

/** A message as received: its handler owns the descriptors. */
export type Message<T extends MessageTable> = {
  [K in keyof T & string]: { readonly kind: K; readonly fields: Fields<T, K>; readonly descriptors: number[] }
}[keyof T & string]
export type ControlMessage = Message<typeof CONTROL>
export type TransferMessage = Message<typeof TRANSFER>
