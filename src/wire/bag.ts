/**
 * What a bag holds: the messages of one socketpair whose writing end is closed, to its end of file. It is read by a later
 * process, perhaps of another version: a reader refuses a format it does not know.
 */
import * as v from 'valibot'
import { bytes, checksum, count, name, version } from './fields.js'
import type { MessageTable } from './messages.js'
import { isSessionRecord, MAX_BATCH, type SessionRecord } from './session-record.js'

export const BAG_FORMAT = 1

export const BAG = {
  /** The first of each bag. `kinds`: what the records of this bag name by their index. */
  contents: {
    from: 'keeper',
    descriptors: 0,
    fields: v.object({
      format: version,
      kinds: v.array(v.object({ name, version })),
      nextId: count,
    }),
  },
  state: {
    from: 'keeper',
    descriptors: 0,
    fields: v.object({ name, version, optional: v.boolean(), bytes, checksum }),
  },
  sessions: {
    from: 'keeper',
    descriptors: 'sessions',
    fields: v.object({
      sessions: v.pipe(v.array(v.custom<SessionRecord>(isSessionRecord)), v.minLength(1), v.maxLength(MAX_BATCH)),
    }),
  },
} as const satisfies MessageTable
