/** Who started whom, and who belongs together, from proc(5). */
import { readdirSync, readFileSync } from 'node:fs'

const MAX_GENERATIONS = 64

/** Of the fields behind the name: the 22nd of proc(5). */
const START_TIME = 19

export interface ProcessRow {
  readonly pid: number
  /** One letter: 'R', 'S', 'Z' … */
  readonly state: string
  readonly parent: number
  readonly session: number
  /** In ticks since the machine has booted, in decimal: with its number it names a process, since numbers are used again. */
  readonly startTime: string
}

/** Throws ENOENT when there is no such process. */
export function processRow(pid: number): ProcessRow {
  // The name, in parentheses, may hold anything; after it come state, parent, group and session.
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state = '', parent, , session] = fields
  return { pid, state, parent: Number(parent), session: Number(session), startTime: fields[START_TIME] ?? '' }
}

/** All processes there are, as far as they can be seen. Throws the system's error: no descriptor to look with. */
export function allProcesses(): ProcessRow[] {
  const rows: ProcessRow[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      rows.push(processRow(Number(name)))
    } catch (error) {
      // It has ended since the folder was read.
      if (!isGone(error)) throw error
    }
  }
  return rows
}

/** What proc(5) and pidfd_open(2) say of a process that has ended. */
export const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')

/** True when `pid` is a child of `ancestor`, or of a child of its, and so on. Throws when it is gone. */
export function descendsFrom(pid: number, ancestor: number | undefined): boolean {
  let current = pid
  for (let step = 0; step < MAX_GENERATIONS && current > 1; step++) {
    current = processRow(current).parent
    if (current === ancestor) return true
  }
  return false
}

/** That process, a descendant of it, or who runs in its session; false of one that has ended. */
export function belongsTo(pid: number, leader: number): boolean {
  try {
    return pid === leader || processRow(pid).session === leader || descendsFrom(pid, leader)
  } catch {
    return false
  }
}

/** Who runs in the session of `leader`, or descends from it; the leader, too. Those that have ended are left out. */
export function familyOf(leader: number): number[] {
  const rows = allProcesses()
  const family = new Set(rows.filter(({ pid, session }) => pid === leader || session === leader).map(({ pid }) => pid))
  for (let before = -1; before !== family.size; ) {
    before = family.size
    for (const { pid, parent } of rows) if (family.has(parent)) family.add(pid)
  }
  return rows.filter(({ pid, state }) => family.has(pid) && state !== 'Z').map(({ pid }) => pid)
}

/** An entry of the environment a process was started with; undefined when it has none, or may not be looked at. */
export function startedWith(pid: number, name: string): string | undefined {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
    return environment.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1)
  } catch {
    return undefined
  }
}
