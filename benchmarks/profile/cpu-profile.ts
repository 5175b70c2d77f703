/** A `.cpuprofile` of V8: which stack was seen when. Its clock is CLOCK_MONOTONIC, so that two processes can be laid side by side. */
import { readFileSync } from 'node:fs'

export interface Frame {
  readonly functionName: string
  /** `node:…` for Node's own, a file URL for others, empty for native code. */
  readonly url: string
  readonly line: number
}

export interface Sample {
  /** Milliseconds on CLOCK_MONOTONIC. */
  readonly atMs: number
  /** Until the next sample. */
  readonly durationUs: number
  /** Outermost first, without the root. */
  readonly stack: readonly Frame[]
}

/** The Chrome DevTools protocol's `Profiler.Profile`. */
interface Profile {
  nodes: {
    id: number
    callFrame: { functionName: string; url: string; lineNumber: number }
    children?: number[]
  }[]
  startTime: number
  samples: number[]
  timeDeltas: number[]
}

export function readCpuProfile(path: string): Sample[] {
  const { nodes, startTime, samples, timeDeltas } = JSON.parse(readFileSync(path, 'utf8')) as Profile
  const stacks = stacksOf(nodes)
  let at = startTime
  return samples.map((id, index) => {
    // A delta leads to its sample; what a sample stands for goes on to the next one. Now and then V8 goes back a little.
    at += timeDeltas[index]!
    return { atMs: at / 1000, durationUs: Math.max(0, timeDeltas[index + 1] ?? 0), stack: stacks.get(id) ?? [] }
  })
}

/** Parents come before their children in the file. */
function stacksOf(nodes: Profile['nodes']): Map<number, Frame[]> {
  const stacks = new Map<number, Frame[]>()
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)))
  for (const { id, callFrame } of nodes) {
    const { functionName, url, lineNumber } = callFrame
    const parent = parents.get(id)
    const above = parent === undefined ? [] : stacks.get(parent)!
    const frame = { functionName: functionName || '(anonymous)', url, line: lineNumber + 1 }
    stacks.set(id, functionName === '(root)' ? [] : [...above, frame])
  }
  return stacks
}
