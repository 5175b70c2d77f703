/** The admin socket: 0600 in a directory of 0700, for the own user and root; survives a stale path. */
import { chmodSync, rmdirSync, rmSync } from 'node:fs'
import net from 'node:net'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import * as v from 'valibot'
import { HandoverError, messageOf } from '../errors.js'
import type { Logger } from '../logger.js'
import {
  type AdminAnswer,
  type AdminRequest,
  MAX_LINE,
  readyWhen,
  requestSchema,
  stopSignal,
} from './admin-protocol.js'
import { prepareDirectory } from './directory.js'
import { LockFile } from './lock.js'
import { POLICIES, UNSETTLED } from './options.js'
import { mayCommand, peerOf } from './peer.js'
import type { Supervisor } from './supervisor.js'

const LOCK_FILE = 'lock'

export class Admin {
  readonly #supervisor: Supervisor
  readonly #logger: Logger
  readonly #path: string
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  readonly #answers = new Set<Promise<void>>()
  #lock: LockFile | undefined

  constructor(supervisor: Supervisor, path: string, logger: Logger) {
    this.#supervisor = supervisor
    this.#path = path
    this.#logger = logger
    this.#server = net.createServer((socket) => this.#serve(socket))
  }

  /** @throws HandoverError HANDOVER_NAME_TAKEN, HANDOVER_DIRECTORY_UNSAFE */
  async open(): Promise<void> {
    const folder = dirname(this.#path)
    prepareDirectory(folder)
    // The lock, not the path, says whether a supervisor lives.
    this.#lock = LockFile.take(join(folder, LOCK_FILE))
    if (this.#lock === undefined)
      throw new HandoverError('HANDOVER_NAME_TAKEN', `a supervisor already answers at ${this.#path}`)
    rmSync(this.#path, { force: true })
    const mask = process.umask(0o177)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject)
        this.#server.listen(this.#path, () => resolve())
      })
    } finally {
      process.umask(mask)
    }
    chmodSync(this.#path, 0o600)
  }

  /** Stops answering and removes the paths. Connections whose answer is still to come are given it first. */
  async close(): Promise<void> {
    if (this.#lock === undefined) return
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    await Promise.all(this.#answers)
    for (const socket of this.#sockets) socket.end()
    await closed
    const folder = dirname(this.#path)
    this.#lock.release()
    this.#lock = undefined
    for (const path of [folder, dirname(folder)]) {
      try {
        rmdirSync(path)
      } catch {
        // Not empty: another supervisor's, or the user's own.
        return
      }
    }
  }

  #serve(socket: net.Socket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    const peer = peerOf(socket)
    if (!mayCommand(peer)) {
      this.#logger.warn({ peer }, 'a stranger was turned away from the admin socket')
      socket.destroy()
      return
    }
    let length = 0
    socket.on('data', (chunk) => {
      length += chunk.length
      if (length > MAX_LINE) socket.destroy()
    })
    const lines = createInterface({ input: socket })
    // It emits the socket's errors once more, and unheard they would end the process.
    lines.on('error', () => socket.destroy())
    lines.once('line', (line) => {
      const answer = this.#answer(socket, line).finally(() => this.#answers.delete(answer))
      this.#answers.add(answer)
    })
  }

  async #answer(socket: net.Socket, line: string): Promise<void> {
    const say = (answer: AdminAnswer) => {
      if (socket.writable) socket.write(`${JSON.stringify(answer)}\n`)
    }
    try {
      say({ result: await this.#run(parse(line), say) })
    } catch (error) {
      const code = error instanceof HandoverError ? error.code : 'HANDOVER_ABORTED'
      say({ error: { code, message: messageOf(error) } })
    }
    socket.end()
  }

  async #run(request: AdminRequest, say: (answer: AdminAnswer) => void): Promise<unknown> {
    switch (request.verb) {
      case 'status':
        return this.#supervisor.status()
      case 'stop':
        await this.#supervisor.stop()
        return { stopped: true }
      case 'upgrade': {
        const change = v.parse(changeSchema, request)
        const options = v.parse(optionsSchema, request)
        const onPhase = (phase: { id: number; phase: string }) => say({ event: 'phase', ...phase })
        return this.#supervisor.upgrade(change, { ...options, onPhase })
      }
    }
  }
}

/** Drops keys that are undefined, as `exactOptionalPropertyTypes` wants it. */
const changeSchema = v.object({
  node: v.exactOptional(v.string()),
  command: v.exactOptional(v.array(v.string())),
  cwd: v.exactOptional(v.string()),
  ready: v.exactOptional(readyWhen),
  settleMs: v.exactOptional(v.number()),
  stopSignal: v.exactOptional(stopSignal),
  environmentFiles: v.exactOptional(v.array(v.string())),
})
const optionsSchema = v.object({
  policy: v.exactOptional(v.picklist(POLICIES)),
  unsettled: v.exactOptional(v.picklist(UNSETTLED)),
  workers: v.exactOptional(v.number()),
  probationMs: v.exactOptional(v.number()),
  worker: v.exactOptional(v.number()),
})

function parse(line: string): AdminRequest {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new HandoverError('HANDOVER_USAGE', 'the request is not a line of JSON', { cause })
  }
  const checked = v.safeParse(requestSchema, value)
  if (checked.success) return checked.output
  throw new HandoverError('HANDOVER_USAGE', `the request is not known: ${checked.issues[0].message}`)
}
