/** The runtime directory of a supervisor: `$XDG_RUNTIME_DIR/handover/NAME`, or `/run/handover/NAME`. Private to its user. */
import { lstatSync, mkdirSync, readlinkSync, type Stats, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { HandoverError, messageOf } from '../errors.js'

export const DEFAULT_NAME = 'default'
export const ADMIN_SOCKET = 'admin.sock'

/** Where the services of the system have theirs, which have no XDG_RUNTIME_DIR. */
const SYSTEM = '/run'

/** sockaddr_un.sun_path, less its NUL (unix(7)). */
const MAX_SOCKET_PATH = 107

/** Where the admin socket of that name is. @throws HandoverError HANDOVER_USAGE */
export function adminSocketPath(name: string, environment: NodeJS.ProcessEnv = process.env): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
    throw new HandoverError(
      'HANDOVER_USAGE',
      `--name ${JSON.stringify(name)} must be 1 to 64 letters, digits, dots, dashes and underscores`,
    )
  }
  const path = join(environment['XDG_RUNTIME_DIR'] || SYSTEM, 'handover', name, ADMIN_SOCKET)
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new HandoverError(
      'HANDOVER_USAGE',
      `the admin socket's path ${path} is longer than the ${MAX_SOCKET_PATH} bytes the kernel allows`,
    )
  }
  return path
}

/** Where a supervisor of that name may answer: the user's own first, then that of a system service. */
export function adminSocketPaths(name: string, environment: NodeJS.ProcessEnv = process.env): string[] {
  return [...new Set([adminSocketPath(name, environment), adminSocketPath(name, {})])]
}

/**
 * Makes the folder of the admin socket, and checks it and the one above: real folders of this user, the inner one with mode 0700.
 * @throws HandoverError HANDOVER_DIRECTORY_UNSAFE
 */
export function prepareDirectory(folder: string): void {
  for (const path of [dirname(folder), folder]) {
    try {
      mkdirSync(path, { mode: 0o700 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw new HandoverError(
          'HANDOVER_DIRECTORY_UNSAFE',
          `the runtime directory ${path} cannot be made: ${messageOf(error)}`,
          { cause: error },
        )
      }
    }
    checkDirectory(path, path === folder)
  }
}

/**
 * The one above may be root's, and open to be looked at: systemd's RuntimeDirectory= makes it so. Nobody but its owner and root
 * can put another folder into the place of the inner one. Where systemd preserves the RuntimeDirectory= of a DynamicUser=
 * (systemd.exec(5)), the inner one is root's own link into /run/private.
 * @throws HandoverError HANDOVER_DIRECTORY_UNSAFE
 */
export function checkDirectory(path: string, isInner: boolean): void {
  // lstat: a symbolic link someone else has put there is not followed.
  const found = lstatSync(path)
  const { uid, mode } = isInner && isPrivate(path, found) ? statSync(path) : found
  const isDirectory = (mode & 0o170000) === 0o040000
  const isOwn = uid === process.geteuid?.()
  if (isDirectory && isOwn && (mode & 0o077) === 0) return
  if (isDirectory && !isInner && (isOwn || uid === 0) && (mode & 0o022) === 0) return
  const what = isDirectory ? `belongs to user ${uid} with mode 0${(mode & 0o777).toString(8)}` : 'is not a directory'
  throw new HandoverError(
    'HANDOVER_DIRECTORY_UNSAFE',
    `the runtime directory ${path} ${what}; it must be this user's, ${isInner ? 'with mode 0700' : "or root's, and not to be written to by others"}`,
  )
}

const PRIVATE = '/run/private/'

const isPrivate = (path: string, link: Stats): boolean =>
  link.isSymbolicLink() && link.uid === 0 && resolve(dirname(path), readlinkSync(path)).startsWith(PRIVATE)
