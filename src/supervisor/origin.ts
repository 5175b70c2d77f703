/** Where the process of a generation comes from: it is started here, or was by a supervisor before this one. */
import { messageOf } from '../errors.js'
import { AdoptedProgram, type KnownProcess } from '../sys/adopted-program.js'
import { binding } from '../sys/binding.js'
import { Link } from '../sys/link.js'
import { Program } from '../sys/program.js'
import { CONTROL } from '../wire/messages.js'
import { programEnvironment, releaseEnvironment } from './environment.js'
import { type Notification, NotifySocket } from './notify.js'
import { Processes } from './processes.js'
import { type PassedListener, programOf, type Release } from './release.js'
import { programUser } from './user.js'

export interface OriginHooks {
  onNotification(said: Notification, sender: number | undefined): void
  /** @param ending in words, when there never was a process. In a turn after this one. */
  onGone(ending: string | undefined): void
}

export interface Begun {
  /** Undefined when it could not be started. */
  readonly processes: Processes | undefined
  /** Undefined when it is not asked to join. Not started yet. */
  readonly link: Link<typeof CONTROL> | undefined
  readonly notify: NotifySocket | undefined
  /** The NOTIFY_SOCKET it was started with. */
  readonly address: string
  /** It is to be waited for until it is ready. */
  readonly isNew: boolean
}

/** Throws what this process lacks: descriptors. */
export type Origin = (hooks: OriginHooks) => Begun

export interface Start {
  readonly release: Release
  readonly listeners: readonly PassedListener[]
  /** Its NOTIFY_SOCKET. */
  readonly notify: string
  /** The socket on which it is found by another supervisor; stays the caller's. */
  readonly rejoin: number | undefined
}

/** A program that cannot be started is gone in the next turn. */
export function started({ release, listeners, notify: address, rejoin }: Start): Origin {
  return ({ onNotification, onGone }) => {
    let link: Link<typeof CONTROL> | undefined
    let theirs: number | undefined
    let notify: NotifySocket | undefined
    try {
      if ((release.ready ?? 'auto') === 'auto') {
        const [ours, other] = binding().socketpair()
        theirs = other
        link = new Link(ours, CONTROL, 'runtime')
      }
      notify = new NotifySocket(address, onNotification)
      const passed = theirs === undefined ? [] : [theirs, ...(rejoin === undefined ? [] : [rejoin])]
      const processes = start(release, listeners, address, passed, onGone)
      return { processes, link, notify, address, isNew: true }
    } catch (error) {
      link?.close()
      notify?.close()
      throw error
    } finally {
      if (theirs !== undefined) binding().close(theirs)
    }
  }
}

/** @param passed the channel, and the socket it is found on. */
function start(
  release: Release,
  listeners: readonly PassedListener[],
  notifySocket: string,
  passed: readonly number[],
  onGone: OriginHooks['onGone'],
): Processes | undefined {
  const { program, args } = programOf(release)
  const { user, cwd } = release
  try {
    const environment = programEnvironment(
      { ...process.env, ...releaseEnvironment(release) },
      { listeners, notifySocket, hasChannel: passed.length > 0, hasRejoin: passed.length > 1 },
    )
    const options = {
      program,
      args,
      directory: cwd,
      environment,
      descriptors: [...listeners.map(({ descriptor }) => descriptor), ...passed],
      namesItself: listeners.length > 0,
      identity: user === undefined ? undefined : programUser(user).identity,
    }
    return new Processes(
      (onExit) => new Program(options, onExit),
      () => onGone(undefined),
    )
  } catch (error) {
    setImmediate(() => onGone(`could not be started: ${program} in ${cwd}: ${messageOf(error)}`))
    return undefined
  }
}

/**
 * One that a supervisor before this one has started. Throws when that process has ended.
 * @param channel to it; taken over, also when it throws. Undefined: it does not join.
 */
export function adopted(known: KnownProcess, address: string, channel: number | undefined): Origin {
  return ({ onNotification, onGone }) => {
    const link = channel === undefined ? undefined : new Link(channel, CONTROL, 'runtime')
    try {
      const processes = new Processes(
        (onExit) => new AdoptedProgram(known, onExit),
        () => onGone(undefined),
      )
      return { processes, link, notify: sameNotifySocket(address, onNotification), address, isNew: false }
    } catch (error) {
      link?.close()
      throw error
    }
  }
}

function sameNotifySocket(address: string, onNotification: OriginHooks['onNotification']): NotifySocket | undefined {
  try {
    return new NotifySocket(address, onNotification)
  } catch {
    // Without it what joins loses no more than the word for a longer stop.
    return undefined
  }
}
