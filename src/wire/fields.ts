/** The pieces the message tables are made of. Unknown fields are dropped, so a field may be added without a new version. */
import * as v from 'valibot'

export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
export const milliseconds = v.pipe(v.number(), v.finite(), v.minValue(0))
export const name = v.pipe(v.string(), v.minLength(1), v.maxLength(128))
/** Longest text of a message: who writes a reason cuts it there. */
export const MAX_TEXT = 4096
export const text = v.pipe(v.string(), v.maxLength(MAX_TEXT))
export const version = v.pipe(v.number(), v.safeInteger(), v.minValue(1))
export const checksum = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(0xffffffff))
export const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array)

/** Why something was refused or dropped, and how often. `held`: it said "not now", and stays for a while. */
export const reason = v.object({
  reason: text,
  count,
  kind: v.optional(name),
  version: v.optional(version),
  held: v.optional(v.boolean()),
})
export type ReasonFields = v.InferOutput<typeof reason>

/** A session that could not be taken, and why: it stays where it is. */
export const refusal = v.object({
  id: v.pipe(v.number(), v.safeInteger()),
  reason: text,
  kind: v.optional(name),
  version: v.optional(version),
})
export type RefusalFields = v.InferOutput<typeof refusal>

/**
 * A session kind or shared state: the versions it can write, the newest first, or read. `optional`: of a state without which
 * the successor does well enough.
 */
export const offered = v.object({
  name,
  writes: v.pipe(v.array(version), v.maxLength(1000)),
  sessions: count,
  optional: v.optional(v.boolean()),
})
export const readable = v.object({ name, reads: v.pipe(v.array(version), v.maxLength(1000)) })
/** `early`: of a session kind that the successor can restore while it is still served, and bring up to date. */
export const chosen = v.object({ name, version, early: v.optional(v.boolean()) })

/** p50, p99 and max of the time from the freeze to a session being live, in milliseconds. */
export const pause = v.object({ p50: milliseconds, p99: milliseconds, max: milliseconds })

/** Sessions that moved after commit, each batch with a pause of its own. */
export const followed = v.object({ sessions: count, pauseMs: v.nullable(pause) })

export const phaseDuration = v.object({ phase: name, durationMs: milliseconds })

/** Which of the processes that serve side by side, from 0, and how many they are. */
export const worker = v.object({ index: count, count: version })

/** Versions of the protocol a side speaks, both ends included. */
export const protocolRange = v.object({ min: version, max: version })
