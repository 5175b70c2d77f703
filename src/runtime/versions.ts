/** Versions of captured state: what a declaration can read and write, and the steps in between, always N to N ± 1. */
import { HandoverError } from '../errors.js'
import type { Migration } from './types.js'

export interface Versioned {
  readonly version: number
  readonly upgrade?: Readonly<Record<number, Migration>>
  readonly downgrade?: Readonly<Record<number, Migration>>
}

/** @throws HandoverError HANDOVER_USAGE when a declaration contradicts itself. */
export function checkVersions(what: string, { version, upgrade = {}, downgrade = {} }: Versioned): void {
  const usage = (why: string) => new HandoverError('HANDOVER_USAGE', `${what}: ${why}`)
  if (!Number.isSafeInteger(version) || version < 1)
    throw usage(`version must be a positive integer, not ${String(version)}`)
  for (const [direction, steps] of Object.entries({ upgrade, downgrade })) {
    for (const [key, step] of Object.entries(steps)) {
      if (!/^[1-9]\d*$/.test(key))
        throw usage(`${direction} step ${key} must be named by a version, a positive integer`)
      if (typeof step !== 'function') throw usage(`${direction} step ${key} must be a function`)
    }
  }
  for (const key of Object.keys(upgrade)) {
    if (Number(key) >= version)
      throw usage(`upgrade step ${key} leads to version ${Number(key) + 1}, but the version is ${version}`)
  }
  for (const key of Object.keys(downgrade)) {
    if (Number(key) <= 1 || Number(key) > version)
      throw usage(`downgrade step ${key} starts above version ${version} or leads below 1`)
  }
}

/** The versions that can be read: the own one and those from which every upgrade step is there. Newest first. */
export function readableVersions({ version, upgrade = {} }: Versioned): number[] {
  return walk(version, (from) => upgrade[from - 1] !== undefined)
}

/** By name, as a runtime says them. */
export function readables(definitions: Iterable<readonly [string, Versioned]>): { name: string; reads: number[] }[] {
  return Array.from(definitions, ([name, definition]) => ({ name, reads: readableVersions(definition) }))
}

/** The versions that can be written: the own one and those to which every downgrade step is there. Newest first. */
export function writableVersions({ version, downgrade = {} }: Versioned): number[] {
  return walk(version, (from) => downgrade[from] !== undefined)
}

function walk(version: number, hasStepBelow: (from: number) => boolean): number[] {
  const versions = [version]
  for (let from = version; from > 1 && hasStepBelow(from); from--) versions.push(from - 1)
  return versions
}

/** Takes state of the own version down to `target`. */
export function stepDown({ version, downgrade = {} }: Versioned, state: unknown, target: number): unknown {
  let result = state
  for (let from = version; from > target; from--) result = take('downgrade', from, downgrade[from], result)
  return result
}

/** Takes state of version `source` up to the own one. */
export function stepUp({ version, upgrade = {} }: Versioned, state: unknown, source: number): unknown {
  let result = state
  for (let from = source; from < version; from++) result = take('upgrade', from, upgrade[from], result)
  return result
}

function take(direction: 'upgrade' | 'downgrade', from: number, step: Migration | undefined, state: unknown): unknown {
  const result = step?.(state)
  if (!(result instanceof Promise)) return result
  result.catch(() => undefined)
  throw new Error(
    `${direction} step ${from} returned a promise; steps are synchronous, since the clients wait for them`,
  )
}

/** The newest version one side writes and the other reads. */
export function commonVersion(writes: readonly number[], reads: readonly number[]): number | undefined {
  return writes.find((version) => reads.includes(version))
}
