/** One request to a supervisor, by its admin socket. */
import net from 'node:net'
import { createInterface } from 'node:readline'
import { ERRORS, type ErrorCode, HandoverError, messageOf } from '../errors.js'
import type { AdminAnswer, AdminRequest } from '../supervisor/admin-protocol.js'
import { adminSocketPaths } from '../supervisor/directory.js'
import { maySupervise, peerOf } from '../supervisor/peer.js'

/**
 * Sends the request and waits for its answer, however long that takes.
 * @throws HandoverError HANDOVER_UNREACHABLE, or what the supervisor answered.
 */
export async function request<R>(
  name: string,
  message: AdminRequest,
  onEvent: (event: Record<string, unknown>) => void = () => undefined,
): Promise<R> {
  const socket = await connectAny(name)
  socket.write(`${JSON.stringify(message)}\n`)
  try {
    for await (const line of createInterface({ input: socket })) {
      const answer = JSON.parse(line) as AdminAnswer
      if ('event' in answer) onEvent(answer)
      else if ('result' in answer) return answer.result as R
      else throw new AnsweredError(answer.error.code, answer.error.message)
    }
  } catch (cause) {
    if (cause instanceof AnsweredError) throw cause
    const what = `the supervisor "${name}" broke off before it answered: ${messageOf(cause)}`
    throw new HandoverError('HANDOVER_UNREACHABLE', what, { cause })
  } finally {
    socket.destroy()
  }
  throw new HandoverError('HANDOVER_UNREACHABLE', `the supervisor "${name}" went away before it answered`)
}

/** What the supervisor answered: its message already says what to do next. */
export class AnsweredError extends Error {
  readonly code: string
  readonly exitCode: number

  constructor(code: string, message: string) {
    super(message)
    this.code = code
    this.exitCode = Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode].exit : 1
  }
}

/** A login has an XDG_RUNTIME_DIR of its own, and a service of the system none: who asks may be the one and mean the other. */
async function connectAny(name: string): Promise<net.Socket> {
  const [own, ...others] = adminSocketPaths(name) as [string, ...string[]]
  return connect(own, name).catch(async (error: unknown) => {
    for (const path of others) {
      const socket = await connect(path, name).catch(() => undefined)
      if (socket !== undefined) return socket
    }
    throw error
  })
}

function connect(path: string, name: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path)
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      socket.on('error', () => undefined)
      const peer = peerOf(socket)
      if (maySupervise(peer)) return resolve(socket)
      socket.destroy()
      const who = `user ${peer?.uid} answers at ${path}, who is neither root nor this user`
      reject(new HandoverError('HANDOVER_UNREACHABLE', `no supervisor "${name}": ${who}`))
    })
    socket.once('error', (cause) => {
      reject(
        new HandoverError('HANDOVER_UNREACHABLE', `no supervisor "${name}" answers at ${path}: ${messageOf(cause)}`, {
          cause,
        }),
      )
    })
  })
}
