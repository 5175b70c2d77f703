/** The runtime directory as a supervisor's memory: held by one at a time, and found by the next when that is killed. */
import { rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HandoverError, messageOf } from '../errors.js'
import type { Logger } from '../logger.js'
import { prepareDirectory } from './directory.js'
import { LockFile } from './lock.js'
import { RecordFile, type SupervisorRecord } from './record.js'
import { Rendezvous } from './rendezvous.js'

const LOCK_FILE = 'record.lock'

export class Memory {
  readonly rendezvous: Rendezvous
  readonly #directory: string
  readonly #file: RecordFile
  readonly #lock: LockFile
  readonly #logger: Logger
  /** Until then the record is that of the supervisor before. */
  #hasBegun = false
  #isOpen = true

  private constructor(directory: string, lock: LockFile, logger: Logger) {
    this.#directory = directory
    this.rendezvous = new Rendezvous(directory)
    this.#file = new RecordFile(directory)
    this.#lock = lock
    this.#logger = logger
  }

  /**
   * @param held the lock, when this process has it already.
   * @throws HandoverError HANDOVER_NAME_TAKEN, HANDOVER_DIRECTORY_UNSAFE
   */
  static open(directory: string, logger: Logger, held?: number): Memory {
    prepareDirectory(directory)
    const path = join(directory, LOCK_FILE)
    const lock = held === undefined ? LockFile.take(path) : LockFile.inherit(path, held)
    if (lock === undefined)
      throw new HandoverError('HANDOVER_NAME_TAKEN', `a supervisor already has its record in ${directory}`)
    const memory = new Memory(directory, lock, logger)
    const { excess } = memory.rendezvous
    // It serves all the same: only what follows a supervisor that is killed is at stake.
    if (excess > 0)
      logger.warn(
        { directory },
        `the path of the runtime directory is too long by ${excess} bytes: in time, processes can no longer be found there by another supervisor`,
      )
    return memory
  }

  /** Of a supervisor that did not end in order; undefined when there was none, or nothing of it can be used. */
  read(): SupervisorRecord | undefined {
    try {
      return this.#file.read()
    } catch (error) {
      let aside: string | undefined
      try {
        aside = this.#file.setAside()
      } catch {
        // It cannot even be moved, and is written over by the next.
      }
      this.#logger.error({ aside }, `the record of the supervisor before is not used: ${messageOf(error)}`)
      return undefined
    }
  }

  /** What the supervisor before has left is known. */
  begin(): void {
    this.#hasBegun = true
  }

  write(record: SupervisorRecord): void {
    if (!this.#isOpen || !this.#hasBegun) return
    try {
      this.#file.write(record)
    } catch (error) {
      // What is served is served on; a supervisor after this one would know less.
      this.#logger.error({}, `the record could not be written: ${messageOf(error)}`)
    }
  }

  /** Of the lock. Stays this object's. */
  get lock(): number {
    return this.#lock.descriptor
  }

  /** Nothing is left to be found; but what the supervisor before has left, if that could not be taken over. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    try {
      if (this.#hasBegun) {
        for (const name of this.rendezvous.all()) this.rendezvous.close(name)
        this.#file.remove()
      }
    } catch (error) {
      // Somebody has removed the directory (logind does at the end of a session), or it is not ours any more.
      this.#logger.warn({}, `the runtime directory could not be cleared: ${messageOf(error)}`)
    }
    this.#lock.release()
    try {
      rmdirSync(this.#directory)
      rmdirSync(dirname(this.#directory))
    } catch {
      // Not empty: the admin socket's, or the user's own.
    }
  }
}
