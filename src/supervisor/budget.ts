/**
 * Whether the memory for both runtimes is there, asked before anything moves: the successor is expected to grow to what
 * the predecessor has. Out of memory in the middle, the kernel would choose whom to kill.
 */
import { type MemoryBound, memoryBounds, proportionalBytes } from '../sys/memory.js'

export interface MemoryNeed {
  readonly predecessorBytes: number
  readonly successorBytes: number
  /** Of other generations that drain. */
  readonly othersBytes: number
}

const NEXT = {
  supervisor: 'raise it',
  group: 'raise it',
  machine: 'free memory, or take a larger machine',
} as const

/** One reason for each limit that is too small. */
export function shortages(need: MemoryNeed, memoryLimitBytes: number, bounds: readonly MemoryBound[]): string[] {
  const { predecessorBytes, successorBytes, othersBytes } = need
  const neededBytes = Math.max(0, predecessorBytes - successorBytes)
  const own = {
    of: 'supervisor',
    name: '--memory-limit',
    limitBytes: memoryLimitBytes,
    leftBytes: Math.max(0, memoryLimitBytes - predecessorBytes - successorBytes - othersBytes),
  } as const
  const growth = `the successor (${size(successorBytes)}) is expected to grow by ${size(neededBytes)}, to the size of the predecessor (${size(predecessorBytes)})`
  const others = othersBytes === 0 ? '' : `; other generations that drain have ${size(othersBytes)}`
  const wait = othersBytes === 0 ? '' : ', or wait until they have drained'
  return [own, ...bounds]
    .filter(({ leftBytes }) => neededBytes > leftBytes)
    .map(
      ({ of, name, limitBytes, leftBytes }) =>
        `not enough memory: ${growth}${others}; ${size(leftBytes)} are left of the ${size(limitBytes)} of ${name}: ${NEXT[of]}${wait}`,
    )
}

/** Measures, by pids; undefined when the kernel does not say how large one of the two sides is. */
export async function memoryShortages(
  predecessors: readonly number[],
  successors: readonly number[],
  others: readonly number[],
  memoryLimitBytes: number,
): Promise<string[] | undefined> {
  const [before, after, rest] = await Promise.all(
    [predecessors, successors, others].map((pids) => Promise.all(pids.map((pid) => proportionalBytes(pid)))),
  )
  const sumOf = (sizes: readonly (number | undefined)[] = []) =>
    sizes.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0)
  if ([...(before ?? []), ...(after ?? [])].includes(undefined)) return undefined
  const [predecessorBytes, successorBytes, othersBytes] = [sumOf(before), sumOf(after), sumOf(rest)]
  return shortages({ predecessorBytes, successorBytes, othersBytes }, memoryLimitBytes, await memoryBounds())
}

function size(bytes: number): string {
  const mebibytes = bytes / 1024 ** 2
  return mebibytes < 10_240
    ? `${mebibytes.toFixed(mebibytes < 100 ? 1 : 0)} MiB`
    : `${(mebibytes / 1024).toFixed(1)} GiB`
}
