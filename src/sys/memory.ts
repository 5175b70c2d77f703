/**
 * What is there of memory, from proc(5) and the control groups of this process. `root` is where the files are looked for:
 * for tests, which bring their own.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A limit that holds for this process, with what may still be taken up to it. */
export interface MemoryBound {
  readonly of: 'group' | 'machine'
  readonly name: string
  readonly limitBytes: number
  readonly leftBytes: number
}

/** Cgroup v1 writes "no limit" as the largest multiple of a page. */
const NO_LIMIT_BYTES = 2 ** 60

/** Version 2 and version 1 of the same three files. A limit holds for all groups below, and usage includes theirs. */
const FILES = {
  cgroup2: { limit: 'memory.max', usage: 'memory.current', reclaimable: /^inactive_file (\d+)$/m },
  cgroup: {
    limit: 'memory.limit_in_bytes',
    usage: 'memory.usage_in_bytes',
    reclaimable: /^total_inactive_file (\d+)$/m,
  },
} as const

/** Memory of a process with shared pages counted in parts, in bytes; undefined when the kernel does not say. */
export async function proportionalBytes(pid: number, root = '/'): Promise<number | undefined> {
  return kilobytes(await textOf(root, `/proc/${pid}/smaps_rollup`), 'Pss')
}

/** The limits of the own control group and those above it, and of the machine; those that cannot be read are left out. */
export async function memoryBounds(root = '/'): Promise<MemoryBound[]> {
  const bounds: MemoryBound[] = []
  const [groups, mounts] = await Promise.all([textOf(root, '/proc/self/cgroup'), textOf(root, '/proc/self/mountinfo')])
  for (const { type, folder } of memoryGroups(groups ?? '', mounts ?? '')) {
    const bound = await groupBound(root, type, folder)
    if (bound !== undefined) bounds.push(bound)
  }
  const machine = await textOf(root, '/proc/meminfo')
  const limitBytes = kilobytes(machine, 'MemTotal')
  const leftBytes = kilobytes(machine, 'MemAvailable')
  if (limitBytes !== undefined && leftBytes !== undefined)
    bounds.push({ of: 'machine', name: 'the machine (MemAvailable)', limitBytes, leftBytes })
  return bounds
}

export interface MemoryGroup {
  readonly type: keyof typeof FILES
  readonly folder: string
}

/** The folders of the own group and of all above it, from /proc/self/cgroup and /proc/self/mountinfo. */
export function memoryGroups(groups: string, mounts: string): MemoryGroup[] {
  const paths = new Map<string, string>()
  for (const line of groups.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (path === undefined) continue
    if (controllers === '') paths.set('cgroup2', path)
    else if (controllers?.split(',').includes('memory')) paths.set('cgroup', path)
  }
  return mounts.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , mountRoot = '', mountPoint = ''] = before.split(' ').map(unescaped)
    const [type = '', , options = ''] = after.split(' ')
    const path = paths.get(type)
    const isMemory = type === 'cgroup2' || (type === 'cgroup' && options.split(',').includes('memory'))
    if (!isMemory || path === undefined || mountPoint === '') return []
    // In a container the mount may begin below the root the path is told from, or the path lead out of what can be seen.
    const parts = partsBelow(mountRoot, path)
    return [...parts.keys(), parts.length].reverse().map((length) => ({
      type: type as keyof typeof FILES,
      folder: join(mountPoint, ...parts.slice(0, length)),
    }))
  })
}

function partsBelow(root: string, path: string): string[] {
  const inside = path.startsWith(root) ? path.slice(root.length).split('/') : []
  return inside.includes('..') ? [] : inside.filter((part) => part !== '')
}

async function groupBound(root: string, type: MemoryGroup['type'], folder: string): Promise<MemoryBound | undefined> {
  const files = FILES[type]
  const path = join(folder, files.limit)
  const [limit, usage, stat] = await Promise.all(
    [path, join(folder, files.usage), join(folder, 'memory.stat')].map((each) => textOf(root, each)),
  )
  // "max" is no limit, and neither is a root group without the file.
  const limitBytes = Number.parseInt(limit ?? '', 10)
  const usageBytes = Number.parseInt(usage ?? '', 10)
  if (Number.isNaN(limitBytes) || Number.isNaN(usageBytes) || limitBytes >= NO_LIMIT_BYTES) return undefined
  // Page cache nobody uses counts as usage, and goes at once where memory is wanted.
  const reclaimable = Number(files.reclaimable.exec(stat ?? '')?.[1] ?? 0)
  return { of: 'group', name: path, limitBytes, leftBytes: Math.max(0, limitBytes - usageBytes + reclaimable) }
}

/** "Pss:   271 kB" in bytes. */
function kilobytes(text: string | undefined, field: string): number | undefined {
  const value = new RegExp(`^${field}: +(\\d+) kB$`, 'm').exec(text ?? '')?.[1]
  return value === undefined ? undefined : Number(value) * 1024
}

/** A blank in a path is \040 there. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

async function textOf(root: string, path: string): Promise<string | undefined> {
  try {
    return await readFile(join(root, path), 'latin1')
  } catch {
    return undefined
  }
}
