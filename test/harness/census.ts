/** Who and what is there: processes, descriptors, paths. Taken before and after, the difference is what was left behind. */
import { type Dirent, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** Every descriptor of a process with what it leads to: 'socket:[123]', '/dev/null', 'anon_inode:[eventpoll]'. */
export function descriptorsOf(pid: number): Map<number, string> {
  const folder = `/proc/${pid}/fd`
  const descriptors = new Map<number, string>()
  for (const name of readdirSync(folder)) {
    const target = linkTarget(`${folder}/${name}`)
    // The folder's own descriptor is gone by now, when it is our own process that was asked about.
    if (target !== undefined) descriptors.set(Number(name), target)
  }
  return descriptors
}

/** How many descriptors of each sort a process has; sorts are stable over generations, numbers are not. */
export function descriptorSorts(pid: number): Record<string, number> {
  const sorts: Record<string, number> = {}
  for (const target of descriptorsOf(pid).values()) {
    const sort = target.replace(/:\[\d+\]$/, '').replace(/^\/memfd:\S*.*$/, 'memfd')
    sorts[sort] = (sorts[sort] ?? 0) + 1
  }
  return sorts
}

export interface ProcessFact {
  readonly pid: number
  readonly parent: number
  /** One letter of proc(5): 'R', 'S', 'Z' … */
  readonly state: string
  readonly command: string
}

export function processFact(pid: number): ProcessFact | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in parentheses may hold anything, so the fields are counted from the last parenthesis.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').join(' ').trim()
    return { pid, parent: Number(parent), state: state!, command }
  } catch {
    return undefined
  }
}

/** True while the process runs; a zombie does not. */
export const isRunning = (pid: number): boolean => !['Z', 'X', undefined].includes(processFact(pid)?.state)

/** All processes below one, whoever their parent is by now, found by a mark in the environment they inherited. */
export function processesMarked(mark: string): ProcessFact[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && environmentOf(name).includes(mark))
    .map((name) => processFact(Number(name)))
    .filter((fact): fact is ProcessFact => fact !== undefined)
}

/** Own children that have ended and were not waited for. */
export function zombiesOf(parent: number): ProcessFact[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => processFact(Number(name)))
    .filter((fact): fact is ProcessFact => fact?.parent === parent && fact.state === 'Z')
}

/** Every path below a folder, relative to it, sorted; nothing when it is not there. */
export function pathsUnder(folder: string): string[] {
  let entries: Dirent[]
  try {
    entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  } catch {
    return []
  }
  return entries.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).sort()
}

/** The inode of the TCP socket that listens on a port of 127.0.0.1: the same through every duplicate of it. */
export function listenerInode(port: number): string | undefined {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  for (const row of readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1)) {
    const fields = row.trim().split(/\s+/)
    if (fields[1] === local && fields[3] === '0A') return fields[9]
  }
  return undefined
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    return ''
  }
}
