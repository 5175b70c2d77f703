/**
 * Where the processes of a supervisor are found when it is gone: a socket of each in the runtime directory. It is bound here, and
 * only its process listens to it, so that it refuses as soon as that has ended; the name says whose it is, should nothing else.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { binding } from '../sys/binding.js'
import { MAX_PATH_BYTES } from '../sys/unix-path.js'
import type { Identity } from './process-words.js'

export type Name = Pick<Identity, 'number' | 'worker' | 'start'>

const SUFFIX = '.join'
/** Of a supervisor that has started two thousand million processes. */
const LONGEST = `zzzzzz.zz.zzzzzz${SUFFIX}`
/** Short, for paths have an end: generation, worker, start. */
const NAME = /^([0-9a-z]{1,10})\.([0-9a-z]{1,4})\.([0-9a-z]{1,10})\.join$/

/** A path that is too long has never been bound. */
const NOBODY = new Set<string | undefined>(['ECONNREFUSED', 'ENOENT', 'ENAMETOOLONG'])

export class Rendezvous {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Bytes by which its path may come to be too long for sockets; 0 when it never will. */
  get excess(): number {
    return Math.max(0, Buffer.byteLength(join(this.#directory, LONGEST)) - MAX_PATH_BYTES)
  }

  /** The socket a process is started with. The caller owns it. Throws the system's error. */
  open(name: Name): number {
    // Of a supervisor whose record is lost: its process is not there any more, or it would have been adopted under this number.
    this.close(name)
    return binding().bindPacket(this.#pathOf(name))
  }

  /** A connection to that process, which the caller owns; undefined when it has ended. Throws when that cannot be said. */
  connect(name: Name): number | undefined {
    try {
      return binding().connectPacket(this.#pathOf(name))
    } catch (error) {
      // EAGAIN: too many wait there. Any other error is this process' own: it has no descriptor, no memory, no right.
      if (NOBODY.has((error as NodeJS.ErrnoException).code)) return undefined
      throw error
    }
  }

  /** Removes the path. What cannot be removed refuses whoever comes. */
  close(name: Name): void {
    try {
      rmSync(this.#pathOf(name), { force: true })
    } catch {
      // The folder is not there any more, or not this user's.
    }
  }

  all(): Name[] {
    return readdirSync(this.#directory).flatMap((file) => {
      const [, ...digits] = NAME.exec(file) ?? []
      const [number, worker, start] = digits.map((text) => Number.parseInt(text, 36))
      return number === undefined || worker === undefined || start === undefined ? [] : { number, worker, start }
    })
  }

  #pathOf({ number, worker, start }: Name): string {
    return join(this.#directory, `${[number, worker, start].map((each) => each.toString(36)).join('.')}${SUFFIX}`)
  }
}
