/** The admin socket's protocol: one request, then events and one answer, each a line of JSON. */
import * as v from 'valibot'
import { MAX_WORKERS, POLICIES, UNSETTLED } from './options.js'
import type { ReadyWhen } from './readiness.js'

const path = v.pipe(v.string(), v.minLength(1), v.maxLength(4096))

// What they may be is checked with the release they become a part of.
export const readyWhen = v.custom<ReadyWhen>((value) => typeof value === 'string' && value.length <= 4096)
export const stopSignal = v.custom<NodeJS.Signals>((value) => typeof value === 'string' && value.length <= 32)

/** One entry for each verb of the CLI that talks to a supervisor. */
export const requestSchema = v.variant('verb', [
  v.object({ verb: v.literal('status') }),
  v.object({ verb: v.literal('stop') }),
  v.object({ verb: v.literal('replace'), node: v.optional(path), cli: path }),
  v.object({
    verb: v.literal('upgrade'),
    node: v.optional(path),
    command: v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(65536))), v.minLength(1), v.maxLength(4096))),
    cwd: v.optional(path),
    policy: v.optional(v.picklist(POLICIES)),
    unsettled: v.optional(v.picklist(UNSETTLED)),
    ready: v.optional(readyWhen),
    settleMs: v.optional(v.number()),
    stopSignal: v.optional(stopSignal),
    environmentFiles: v.optional(v.pipe(v.array(path), v.maxLength(64), v.readonly())),
    probationMs: v.optional(v.number()),
    worker: v.optional(v.number()),
    workers: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_WORKERS))),
  }),
])
export type AdminRequest = v.InferOutput<typeof requestSchema>

/** Longest line either side accepts, in characters. */
export const MAX_LINE = 4 * 1024 * 1024

export type AdminAnswer =
  | { readonly event: string; readonly [key: string]: unknown }
  | { readonly result: unknown }
  | { readonly error: { readonly code: string; readonly message: string } }
