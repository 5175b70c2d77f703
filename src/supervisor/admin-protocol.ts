/** The admin socket's protocol: one request, then events and one answer, each a line of JSON. */
import * as v from 'valibot'
import { MAX_WORKERS, POLICIES, UNSETTLED } from './options.js'

const path = v.pipe(v.string(), v.minLength(1), v.maxLength(4096))

/** One entry for each verb of the CLI that talks to a supervisor. */
export const requestSchema = v.variant('verb', [
  v.object({ verb: v.literal('status') }),
  v.object({ verb: v.literal('stop') }),
  v.object({
    verb: v.literal('upgrade'),
    node: v.optional(path),
    command: v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(65536))), v.minLength(1), v.maxLength(4096))),
    cwd: v.optional(path),
    policy: v.optional(v.picklist(POLICIES)),
    unsettled: v.optional(v.picklist(UNSETTLED)),
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
