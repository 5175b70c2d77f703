/** The admin socket: 0600 in a directory of 0700, for the own user and root; survives a stale path. */
import { chmodSync, rmdirSync, rmSync } from 'node:fs'
import net from 'node:net'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import * as v from 'valibot'
import { HandoverError, messageOf } from '../errors.js'
import type { Logger } from '../logger.js'
import { descriptorOf } from '../sys/node-internals.js'
import {
  type AdminAnswer,
  type AdminRequest,
  MAX_LINE,
  readyWhen,
  requestSchema,
  stopSignal,
} from './admin-protocol.js'
import { prepareDirectory } from './directory.js'
import type { Carried } from './image.js'
import { LockFile } from './lock.js'
import { POLICIES, UNSETTLED } from './options.js'
import { mayCommand, peerOf } from './peer.js'
import type { Supervisor } from './supervisor.js'

const LOCK_FILE = 'lock'

/** Returns only by throwing; the answer is given by the other image, to that socket. */
export type Replace = (
  request: Extract<AdminRequest, { verb: 'replace' }>,
  client: number | undefined,
) => Promise<never>

const refuseReplacement: Replace = async () => {
  throw new HandoverError('HANDOVER_SUPERVISOR_REFUSED', 'this supervisor is a part of another program')
}

export class Admin {
  readonly #supervisor: Supervisor
  readonly #logger: Logger
  readonly #path: string
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  readonly #answers = new Set<Promise<void>>()
  readonly #held: Carried['admin'] | undefined
  readonly #replace: Replace
  #lock: LockFile | undefined

  /**
   * @param replace how another image comes in the place of this one.
   * @param held what this process had open before its execve(2).
   */
  constructor(
    supervisor: Supervisor,
    path: string,
    logger: Logger,
    replace: Replace = refuseReplacement,
    held?: Carried['admin'],
  ) {
    this.#supervisor = supervisor
    this.#path = path
    this.#logger = logger
    this.#replace = replace
    this.#held = held
    this.#server = net.createServer((socket) => this.#serve(socket))
  }

  /** @throws HandoverError HANDOVER_NAME_TAKEN, HANDOVER_DIRECTORY_UNSAFE */
  async open(): Promise<void> {
    const folder = dirname(this.#path)
    prepareDirectory(folder)
    // The lock, not the path, says whether a supervisor lives.
    const lock = join(folder, LOCK_FILE)
    if (this.#held !== undefined) {
      this.#lock = LockFile.inherit(lock, this.#held.lock)
      await this.#listen({ fd: this.#held.listener })
      return
    }
    this.#lock = LockFile.take(lock)
    if (this.#lock === undefined)
      throw new HandoverError('HANDOVER_NAME_TAKEN', `a supervisor already answers at ${this.#path}`)
    rmSync(this.#path, { force: true })
    const mask = process.umask(0o177)
    try {
      await this.#listen({ path: this.#path })
    } finally {
      process.umask(mask)
    }
    chmodSync(this.#path, 0o600)
  }

  /** For this process after an execve(2). Stays this object's. */
  carried(): Carried['admin'] {
    return { listener: descriptorOf(this.#server) as number, lock: (this.#lock as LockFile).descriptor }
  }

  async #listen(where: { path: string } | { fd: number }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(where, () => resolve())
    })
  }

  /** Stops answering and removes the paths. Connections whose answer is still to come are given it first. */
  async close(): Promise<void> {
    if (this.#lock === undefined) return
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    await Promise.all(this.#answers)
    for (const socket of this.#sockets) socket.end()
    await closed
    // Node removes only the path that it has bound itself.
    rmSync(this.#path, { force: true })
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
      say({ result: await this.#run(parse(line), say, socket) })
    } catch (error) {
      const code = error instanceof HandoverError ? error.code : 'HANDOVER_ABORTED'
      say({ error: { code, message: messageOf(error) } })
    }
    socket.end()
  }

  async #run(request: AdminRequest, say: (answer: AdminAnswer) => void, socket: net.Socket): Promise<unknown> {
    switch (request.verb) {
      case 'replace':
        return this.#replace(request, descriptorOf(socket))
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
