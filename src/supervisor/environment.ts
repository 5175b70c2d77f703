/** What a server's processes find in their environment: the supervisor's, the files' and the user's, without its own protocols. */
import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { HandoverError, messageOf } from '../errors.js'
import type { PassedListener, Release } from './release.js'
import { programUser } from './user.js'

const SCRUBBED = [
  'LISTEN_PID',
  'LISTEN_FDS',
  'LISTEN_FDNAMES',
  'LISTEN_PIDFDID',
  'HANDOVER_CHANNEL',
  'HANDOVER_REJOIN',
  'NOTIFY_SOCKET',
  'WATCHDOG_PID',
  'WATCHDOG_USEC',
  'NODE_CHANNEL_FD',
  'NODE_CHANNEL_SERIALIZATION_MODE',
]

/** The environment of a runtime: the supervisor's own protocols are not its children's, nor is a debugger's port. */
export function runtimeEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const result = { ...environment }
  for (const name of SCRUBBED) delete result[name]
  const options = result['NODE_OPTIONS']
    ?.split(/\s+/)
    .filter((option) => option !== '' && !/^--inspect/.test(option))
    .join(' ')
  if (options) result['NODE_OPTIONS'] = options
  else delete result['NODE_OPTIONS']
  return result
}

/**
 * What a release adds to the supervisor's environment: as the user's login, then the files, a later one over an earlier. They are
 * read at each start, so that a change comes with the next upgrade.
 * @throws HandoverError HANDOVER_USAGE: a file cannot be read, or there is no such user.
 */
export function releaseEnvironment({ user, environmentFiles = [] }: Release): NodeJS.ProcessEnv {
  return Object.assign({}, user === undefined ? {} : programUser(user).environment, ...environmentFiles.map(readFile))
}

function readFile(path: string): NodeJS.Dict<string> {
  try {
    return parseEnv(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new HandoverError('HANDOVER_USAGE', `--env-file ${path}: ${messageOf(error)}`, { cause: error })
  }
}

/** The first descriptor after the standard streams: SD_LISTEN_FDS_START. */
const FIRST_PASSED = 3

/**
 * The environment of a program as it is started: what sd_listen_fds(3) and sd_notify(3) want, and where its channel is, behind
 * the listeners. LISTEN_PID only the child knows.
 */
export function programEnvironment(
  environment: NodeJS.ProcessEnv,
  given: {
    readonly listeners: readonly PassedListener[]
    readonly notifySocket: string | undefined
    readonly hasChannel: boolean
    readonly hasRejoin?: boolean
  },
): NodeJS.ProcessEnv {
  const { listeners, notifySocket, hasChannel, hasRejoin = false } = given
  const names = listeners.map(({ name }) => name).join(':')
  return {
    ...runtimeEnvironment(environment),
    ...(listeners.length === 0 ? {} : { LISTEN_FDS: String(listeners.length), LISTEN_FDNAMES: names }),
    ...(notifySocket === undefined ? {} : { NOTIFY_SOCKET: notifySocket }),
    ...(hasChannel ? { HANDOVER_CHANNEL: String(FIRST_PASSED + listeners.length) } : {}),
    ...(hasChannel && hasRejoin ? { HANDOVER_REJOIN: String(FIRST_PASSED + listeners.length + 1) } : {}),
  }
}
