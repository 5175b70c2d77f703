/** What a supervisor goes on from, when the one before it did not end in order. */
import { messageOf } from '../errors.js'
import { type AdoptionContext, adopt, type Met, unrecorded } from './adoption.js'
import type { Generation } from './generation.js'
import type { Memory } from './memory.js'
import { bootId, type ProcessRecord, type SupervisorRecord, type UpgradeRecord } from './record.js'
import type { Target } from './release.js'
import type { Side, UpgradeResult } from './result.js'

export interface Past {
  readonly generations: number
  readonly upgrades: number
  readonly lastUpgrade: UpgradeResult | null
  /** At most one of each worker. */
  readonly serving: readonly Generation[]
  /** What is in force; undefined when nobody serves, and everything begins as it is told to. */
  readonly inForce: Pick<SupervisorRecord, 'target' | 'workers' | 'own'> | undefined
}

/** @param running what an unrecorded process is taken to be. */
export async function resume(
  memory: Memory,
  context: Omit<AdoptionContext, 'rendezvous'>,
  running: Target['running'],
): Promise<Past> {
  const record = memory.read()
  const { rendezvous } = memory
  const { generations, listeners, settings } = context
  const adoption = { ...context, rendezvous }
  const known = record?.boot === bootId() ? record.processes : []
  const rows = [...known, ...(await unrecorded(adoption, known, running))]
  // Before anything is started: a number is not given twice.
  generations.starts = Math.max(record?.starts ?? 0, ...[...rows, ...rendezvous.all()].map(({ start }) => start))
  const met = (await Promise.all(rows.map((row) => adoptOrLeave(row, adoption))))
    .filter((each) => each !== undefined)
    .sort((a, b) => a.start - b.start)
  // Only now is it known who claims what: a socket is closed, and its path removed, when none of them serves on it.
  for (const { start, serves, worker } of met) if (serves !== undefined) listeners.commit(start, serves, worker)
  for (const { start, serves } of met) if (serves === undefined) listeners.abort(start)
  const serving = new Map<number, Generation>()
  for (const { generation } of met) {
    if (generation?.state !== 'serving') continue
    // Who was to be replaced by it, and has not heard so.
    void serving.get(generation.worker)?.stop(settings.drainMs)
    serving.set(generation.worker, generation)
  }
  const past = {
    generations: Math.max(record?.generations ?? 0, ...rows.map(({ number }) => number)),
    upgrades: record?.upgrades ?? 0,
    serving: [...serving.values()],
  }
  if (record === undefined) return { ...past, lastUpgrade: null, inForce: undefined }
  const { inForce, lastUpgrade } = decided(record, past.serving)
  if (past.serving.length === 0) return { ...past, lastUpgrade, inForce: undefined }
  settings.logger.info(
    { command: inForce.target.release.command, workers: inForce.workers },
    'the release in force stays',
  )
  return { ...past, lastUpgrade, inForce }
}

/** One that can neither be met nor ended is not to be in the way of the others. */
async function adoptOrLeave(row: ProcessRecord, context: AdoptionContext): Promise<Met | undefined> {
  try {
    return await adopt(row, context)
  } catch (error) {
    const { number, worker, pid } = row
    context.settings.logger.error(
      { generation: number, worker, pid },
      `a process of the supervisor before could neither be taken over nor ended: ${messageOf(error)}`,
    )
    return undefined
  }
}

/** The sides of an upgrade have decided it between themselves: who serves says how. */
function decided(record: SupervisorRecord, serving: readonly Generation[]) {
  let { target, workers, own, lastUpgrade } = record
  for (const upgrade of [...record.under].sort((a, b) => a.id - b.id)) {
    const to = serving.find(({ number }) => number === upgrade.number)
    const isCommitted = upgrade.isCommitted ?? to !== undefined
    if (isCommitted && upgrade.isCommitted === null) {
      const { worker } = upgrade
      if (worker === null) [target, workers, own] = [upgrade.target, upgrade.workers, []]
      else own = [...own.filter((each) => each.worker !== worker), { worker, target: upgrade.target }]
    }
    if (upgrade.id > (lastUpgrade?.id ?? 0))
      lastUpgrade = interrupted(upgrade, isCommitted, to?.side ?? serving[0]?.side)
  }
  return { inForce: { target, workers, own }, lastUpgrade }
}

const NOBODY: Side = { generation: 0, release: '', node: '', pid: null }
const NONE = { sessions: 0, pauseMs: null }

/** As far as it is known of an upgrade that nobody has seen to its end. */
function interrupted(
  { id, from, startedAt, number }: UpgradeRecord,
  isCommitted: boolean,
  side = NOBODY,
): UpgradeResult {
  const reason = 'the supervisor ended before the upgrade did: what has become of its sessions was not counted'
  return {
    id,
    outcome: isCommitted ? 'committed' : 'failed',
    serves: side.pid === null ? 'nobody' : isCommitted ? 'successor' : 'predecessor',
    startedAt,
    durationMs: Math.max(0, Date.now() - Date.parse(startedAt)),
    from,
    to: isCommitted ? side : { ...NOBODY, generation: number },
    sessions: { moved: 0, drained: 0, dropped: 0, refused: 0 },
    reasons: [{ of: 'upgrade', reason, count: 1 }],
    pauseMs: null,
    followed: NONE,
    phases: [],
    spread: NONE,
    workers: [],
    listeners: [],
    draining: [],
  }
}
