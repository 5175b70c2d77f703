/** What a stack was busy with: its innermost frame that belongs to a group decides. */
import type { Frame, Sample } from './cpu-profile.js'

export interface FunctionGroup {
  readonly name: string
  /** For the flame graph. */
  readonly color: string
  has(frame: Frame): boolean
}

const file = (pattern: RegExp) => (frame: Frame) => pattern.test(frame.url)

/** The first that has a frame gets it. */
export const FUNCTION_GROUPS: readonly FunctionGroup[] = [
  { name: 'garbage collection', color: '#c0392b', has: ({ functionName }) => functionName === '(garbage collector)' },
  { name: 'idle', color: '#ecf0f1', has: ({ functionName }) => functionName === '(idle)' },
  {
    name: 'state: encode, decode',
    color: '#8e44ad',
    has: file(
      /\/node_modules\/cbor-x\/|\/wire\/(cbor|plain|envelope|codec|session-record|fields)\.js|node:(internal\/)?zlib/,
    ),
  },
  { name: 'channel', color: '#2980b9', has: file(/\/sys\/(channel|link|memfd)\.js|\/wire\/(frame|messages)\.js/) },
  {
    name: 'socket: build, park, close',
    color: '#27ae60',
    has: file(
      /\/adapters\/|\/sys\/(node-internals|parking)\.js|node:(internal\/)?(net|stream|streams|events|stream_base_commons)/,
    ),
  },
  { name: 'application', color: '#f39c12', has: file(/\/benchmarks\//) },
  { name: 'sessions and transaction', color: '#16a085', has: file(/\/(transfer|runtime)\//) },
  { name: 'Node itself', color: '#7f8c8d', has: file(/^node:/) },
]

export const OTHER: FunctionGroup = { name: 'native and other', color: '#bdc3c7', has: () => true }

const groupOfFrame = new Map<Frame, FunctionGroup | undefined>()

/** The group of one frame by itself. */
export function groupOfOne(frame: Frame): FunctionGroup | undefined {
  if (!groupOfFrame.has(frame)) {
    groupOfFrame.set(
      frame,
      FUNCTION_GROUPS.find((group) => group.has(frame)),
    )
  }
  return groupOfFrame.get(frame)
}

/** Told by where a stack begins: below it are the same functions that build and close sockets. */
export const TRAFFIC: FunctionGroup = {
  name: 'traffic of active sessions',
  color: '#d4ac0d',
  has: ({ functionName }) => functionName === 'onStreamRead',
}

export const ALL_GROUPS: readonly FunctionGroup[] = [...FUNCTION_GROUPS, TRAFFIC, OTHER]

/** A frame without a group of its own, such as a native function, counts for who called it. */
export function groupOf({ stack }: Sample): FunctionGroup {
  if (stack[0] !== undefined && TRAFFIC.has(stack[0])) return TRAFFIC
  for (let index = stack.length - 1; index >= 0; index--) {
    const group = groupOfOne(stack[index]!)
    if (group !== undefined) return group
  }
  return OTHER
}
