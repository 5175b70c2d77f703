/**
 * The program a supervisor is, and how it becomes another one in its place: by execve(2) its process, its children and its open
 * descriptors stay. What does not, the next one reads in the record, and hears from the runtimes.
 */
import { HandoverError, messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'

export interface Image {
  /** Path of a Node. */
  readonly node: string
  /** Options of Node, the command line's file, and what it is called with. */
  readonly args: readonly string[]
}

/** For people. */
export interface ImageName {
  readonly version: string
  readonly node: string
}

/** A socket that stays open. */
export interface CarriedSocket {
  readonly name: string
  readonly descriptor: number
  /** Of a socket unit. */
  readonly isInherited: boolean
}

/** What the next image is given. */
export interface Carried {
  readonly lock: number
  readonly sockets: readonly CarriedSocket[]
  readonly admin: { readonly listener: number; readonly lock: number }
  /** Who has asked for it, and waits for the answer. */
  readonly client: number | null
  readonly from: ImageName
  /** The way back; null when this one has come by it. */
  readonly before: Image | null
  /** Why the one in between has gone back. */
  readonly failure: string | null
}

const CARRIED = 'HANDOVER_CARRIED'
/** Of the service manager: these were for the process as it was started. */
const SPENT = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']

/** Node sets CLOEXEC on these, too, as it begins. */
const STREAMS = [0, 1, 2]

const descriptorsOf = ({ lock, sockets, admin, client }: Carried): number[] => [
  lock,
  ...sockets.map(({ descriptor }) => descriptor),
  admin.listener,
  admin.lock,
  ...(client === null ? [] : [client]),
]

/** Returns only by throwing the system's error: nothing has changed then. */
export function become({ node, args }: Image, carried: Carried, environment: NodeJS.ProcessEnv): never {
  const entries = Object.entries({ ...environment, [CARRIED]: JSON.stringify(carried) }).flatMap(([name, value]) =>
    value === undefined || SPENT.includes(name) ? [] : `${name}=${value}`,
  )
  const kept = [...STREAMS, ...descriptorsOf(carried)]
  try {
    for (const descriptor of kept) binding().setCloseOnExec(descriptor, false)
    return binding().execute(node, [node, ...args], entries)
  } finally {
    for (const descriptor of kept) binding().setCloseOnExec(descriptor, true)
  }
}

/** What the image before has left, once; undefined when there was none. Its descriptors are the caller's. */
export function takeCarried(environment: NodeJS.ProcessEnv): Carried | undefined {
  const text = environment[CARRIED]
  delete environment[CARRIED]
  if (text === undefined) return undefined
  const carried = JSON.parse(text) as Carried
  // No program that is started from here on is to have them.
  for (const descriptor of descriptorsOf(carried)) binding().setCloseOnExec(descriptor, true)
  return carried
}

/**
 * This image does not come up, and the one before takes its place again, once. Returns when there was none, or none any more.
 * Throws the system's error.
 */
export function goBack(carried: Carried | undefined, error: unknown, environment: NodeJS.ProcessEnv): void {
  if (carried?.before == null) return
  const sockets = carried.sockets.filter(({ descriptor }) => isOpen(descriptor))
  become(carried.before, { ...carried, sockets, before: null, failure: messageOf(error) }, environment)
}

/** Tells who has asked for it what has become of it. */
export function answerClient({ client, from, failure }: Carried, now: ImageName): void {
  if (client === null) return
  const message = `it could not take over: ${failure}`
  const answer =
    failure === null
      ? { result: { pid: process.pid, ...now, from } }
      : {
          error: {
            code: 'HANDOVER_SUPERVISOR_REFUSED',
            message: new HandoverError('HANDOVER_SUPERVISOR_REFUSED', message).message,
          },
        }
  try {
    binding().send(client, Buffer.from(`${JSON.stringify(answer)}\n`), [])
  } catch {
    // It has gone away meanwhile.
  }
  binding().close(client)
}

function isOpen(descriptor: number): boolean {
  try {
    binding().isCloseOnExec(descriptor)
    return true
  } catch {
    return false
  }
}
