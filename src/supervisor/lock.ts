/** A file whose lock says that a supervisor lives: it goes with the process, however that ends. */
import { closeSync, constants, fstatSync, lstatSync, openSync, rmSync } from 'node:fs'
import { HandoverError, messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'

export class LockFile {
  readonly #path: string
  readonly #descriptor: number

  private constructor(path: string, descriptor: number) {
    this.#path = path
    this.#descriptor = descriptor
  }

  /** Undefined when another process has it. @throws HandoverError HANDOVER_DIRECTORY_UNSAFE */
  static take(path: string): LockFile | undefined {
    // Not followed, not emptied: whoever put a link there before the folder was ours is not to have us write elsewhere.
    const descriptor = open(path)
    // A supervisor that is just ending removes the file: a lock on a removed one would keep nobody out.
    if (binding().tryLock(descriptor) && isSameFile(descriptor, path)) return new LockFile(path, descriptor)
    closeSync(descriptor)
    return undefined
  }

  /** One that this process has held before its execve(2): the lock is the open file's. */
  static inherit(path: string, descriptor: number): LockFile {
    return new LockFile(path, descriptor)
  }

  /** Stays this object's. */
  get descriptor(): number {
    return this.#descriptor
  }

  /** Removes it. */
  release(): void {
    rmSync(this.#path, { force: true })
    closeSync(this.#descriptor)
  }
}

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  } catch (cause) {
    throw new HandoverError('HANDOVER_DIRECTORY_UNSAFE', `the lock ${path} cannot be opened: ${messageOf(cause)}`, {
      cause,
    })
  }
}

function isSameFile(descriptor: number, path: string): boolean {
  const [ours, there] = [fstatSync(descriptor), lstatSync(path, { throwIfNoEntry: false })]
  return ours.ino === there?.ino && ours.dev === there.dev
}
