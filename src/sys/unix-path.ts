/** Paths of unix sockets: what may be bound, what is in the way, and whose the path is later. */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { messageOf } from '../errors.js'

/** `sun_path` of unix(7), less the zero byte at its end. */
export const MAX_PATH_BYTES = 107

/** What at a path is ours: the socket itself keeps its inode from being used again, so that nothing else can ever have it. */
export interface PathIdentity {
  readonly path: string
  readonly device: bigint
  readonly inode: bigint
}

/** Why the path cannot be one of a socket, or undefined. */
export function wrongPath(path: string): string | undefined {
  const bytes = Buffer.byteLength(path)
  if (bytes > MAX_PATH_BYTES) return `its path has ${bytes} bytes, the kernel's limit is ${MAX_PATH_BYTES}: ${path}`
  return undefined
}

/** Of the socket that was bound there just now. */
export function identify(path: string): PathIdentity {
  const { dev, ino } = lstatSync(path, { bigint: true })
  return { path, device: dev, inode: ino }
}

/** The path still leads to this socket. */
export function isAt({ path, device, inode }: PathIdentity): boolean {
  const now = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return now !== undefined && now.dev === device && now.ino === inode
}

/** Unlinks it, if it still is what was bound there. Before the socket is closed. */
export function unlinkOwn(own: PathIdentity): void {
  try {
    if (isAt(own)) unlinkSync(own.path)
  } catch {
    // Its folder is gone, or no longer ours to write to: there is nothing more to be done about it.
  }
}

export function setMode(own: PathIdentity, mode: number): void {
  try {
    if (isAt(own)) chmodSync(own.path, mode)
  } catch {
    // Only another owner is in the way, and whoever gave it one has more rights than this process.
  }
}

/**
 * Unlinks the socket of a process that is gone. Anything else stays: files, folders and links always, and a socket
 * somebody answers on.
 * @throws Error that says what is in the way.
 */
export async function clearStale(path: string): Promise<void> {
  const before = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (before === undefined) return
  if (!before.isSocket()) throw new Error(`there is ${sortOf(before)} at this path`)
  const answer = await probe(path)
  if (answer !== 'ECONNREFUSED') {
    if (answer === undefined || answer === 'EAGAIN') throw new Error('another process listens there')
    if (answer === 'ENOENT') return
    throw new Error(
      `there is a socket at this path, and whether another process listens there cannot be said: ${answer}`,
    )
  }
  // Another process may have found the same, and be the new owner by now. Inodes are used again at once, their times are not.
  const now = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (now === undefined) return
  if (now.ino !== before.ino || now.dev !== before.dev || now.ctimeNs !== before.ctimeNs)
    throw new Error('another process has just begun to listen there')
  try {
    unlinkSync(path)
  } catch (error) {
    throw new Error(`the socket of a process that is gone cannot be removed: ${messageOf(error)}`, { cause: error })
  }
}

/** The code of the error with which connect(2) ends; undefined when somebody answers. */
function probe(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
  })
}

function sortOf(stats: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): string {
  if (stats.isFile()) return 'a file'
  if (stats.isDirectory()) return 'a folder'
  return stats.isSymbolicLink() ? 'a symbolic link' : 'something that is no socket'
}
