/** Where sessions go that follow after commit: each batch is built held still, and then goes live at once. */
import { binding } from '../sys/binding.js'
import { Parking } from '../sys/parking.js'
import { type Choice, type FollowSink, Refusal, refusalOf } from '../transfer/types.js'
import type { RefusalFields } from '../wire/fields.js'
import type { SessionRecord } from '../wire/session-record.js'
import { apart } from './apart.js'
import { adopted, refusing, restoreSession } from './restore.js'
import type { Sessions } from './sessions.js'
import type { Adopted, Transport } from './transport.js'

export function createFollowSink(
  sessions: Sessions,
  transport: Transport,
  choiceOf: (kind: number) => Choice | undefined,
  onFollowed: (count: number) => void,
  keepsIds = true,
): FollowSink {
  // Never live: a batch is small, and all of it is released in one turn.
  let parking: Parking | undefined
  let batch: Adopted[] = []

  return {
    take(records, descriptors) {
      const refused: RefusalFields[] = []
      batch = []
      for (const [position, record] of records.entries()) {
        try {
          batch.push(build(record, descriptors[position] as number))
        } catch (error) {
          refused.push(refusalOf(record[0], error))
        }
      }
      return refused
    },

    release() {
      for (const socket of batch) {
        socket.release()
        const kind = sessions.kindOf(socket.socket)
        if (kind !== undefined) adopted(kind, socket.socket)
      }
      onFollowed(batch.length)
      batch = []
    },

    discard() {
      for (const socket of batch) discard(socket)
      batch = []
    },

    close() {
      parking?.close()
    },
  }

  function build([id, kindIndex, state, checksum, described]: SessionRecord, descriptor: number): Adopted {
    const choice = choiceOf(kindIndex)
    const kind = choice === undefined ? undefined : sessions.kinds.get(choice.name)
    if (choice === undefined || kind === undefined || state === null) {
      binding().close(descriptor)
      const reason = `session ${id} came ${state === null ? 'without its state' : 'of a kind that was not agreed'}`
      throw new Refusal([{ reason, count: 1 }])
    }
    parking ??= new Parking()
    const own = parking
    const socket = refusing(choice, `adoption of a session of kind ${choice.name} failed`, () =>
      transport.adopt(descriptor, described, own),
    )
    try {
      // Of a process whose ids may be the same as ours, or a third one's: it gets a new one.
      restoreSession(sessions, kind, choice, socket, [keepsIds ? id : sessions.nextId, state, checksum])
    } catch (error) {
      discard(socket)
      throw error
    }
    return socket
  }

  /** The predecessor goes on with it: what `restore` has made of it here is taken out, as `forget` does, where there is one. */
  function discard(socket: Adopted): void {
    const kind = sessions.kindOf(socket.socket)
    const entry = kind?.entries.get(socket.socket)
    socket.discard()
    if (kind === undefined || entry === undefined) return
    sessions.remove(kind, socket.socket)
    apart(() => kind.definition.precopy?.forget(socket.socket, entry.session))
  }
}
