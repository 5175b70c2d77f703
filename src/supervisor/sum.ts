/** The result of an upgrade, made of what became of each worker. */
import type { PairResult } from './account.js'
import type { Given } from './give.js'
import type {
  Followed,
  Outcome,
  Pauses,
  PhaseDuration,
  Reason,
  Serves,
  SessionCounts,
  UpgradeResult,
  WorkerResult,
} from './result.js'

/** In the order they were tried: a worker that was tried again comes again. */
export interface Part {
  readonly worker: number
  readonly result: PairResult
}

type Frame = Pick<UpgradeResult, 'id' | 'startedAt' | 'durationMs' | 'listeners' | 'draining'> & {
  readonly given: readonly Given[]
}

/** @param refusals why the whole was refused before anything was tried. */
export function sumOf(
  { given, ...frame }: Frame,
  parts: readonly Part[],
  refusals: readonly Reason[],
  workers: number,
): UpgradeResult {
  // The last try of a worker tells what it has come to; what the ones before it cost is in the sums.
  const last = [...new Map(parts.map((part) => [part.worker, part])).values()].sort((a, b) => a.worker - b.worker)
  const { from, to } = last[0]!.result
  const outcome = refusals.length > 0 ? 'refused' : outcomeOf(last.map(({ result }) => result))
  return {
    ...frame,
    outcome,
    serves: servesOf(last.map(({ result }) => result)),
    from,
    to,
    sessions: countsOf(parts.map(({ result }) => result)),
    reasons: [...refusals, ...reasonsOf(parts, workers), ...given.flatMap(notesOf)],
    pauseMs: largest(last.map(({ result }) => result.pauseMs)),
    followed: followedOf(last.map(({ result }) => result.followed)),
    spread: followedOf(given),
    phases: longest(last.map(({ result }) => result.phases)),
    workers: last.map(({ worker, result }): WorkerResult => {
      const { outcome: own, isOverruled, serves, sessions, pauseMs, followed } = result
      const isOthers = isOverruled || (refusals.length > 0 && own !== 'committed')
      return {
        worker,
        outcome: isOthers ? outcome : own,
        serves,
        from: result.from,
        to: result.to,
        sessions,
        pauseMs,
        followed,
      }
    }),
  }
}

/** Those that were only overruled have no say. */
function outcomeOf(results: readonly PairResult[]): Outcome {
  if (results.every(({ outcome }) => outcome === 'committed')) return 'committed'
  const undone = results.filter(({ outcome, isOverruled }) => outcome !== 'committed' && !isOverruled)
  return undone.length > 0 && undone.every(({ outcome }) => outcome === 'refused') ? 'refused' : 'failed'
}

function servesOf(results: readonly PairResult[]): Serves {
  const by = (who: Serves) => results.some(({ serves }) => serves === who)
  if (by('successor') && by('predecessor')) return 'both'
  return by('successor') ? 'successor' : by('predecessor') ? 'predecessor' : 'nobody'
}

function countsOf(results: readonly PairResult[]): SessionCounts {
  const sum = (of: keyof SessionCounts) => results.reduce((total, { sessions }) => total + sessions[of], 0)
  return { moved: sum('moved'), drained: sum('drained'), dropped: sum('dropped'), refused: sum('refused') }
}

function notesOf({ reasons }: Given): Reason[] {
  return reasons.map(({ reason }) => ({
    of: 'upgrade',
    reason: `a worker kept the share of a new one: ${reason}`,
    count: 1,
  }))
}

/** Each once; of several workers it names those it is of. */
function reasonsOf(parts: readonly Part[], workers: number): Reason[] {
  if (workers === 1) return parts.flatMap(({ result }) => result.reasons)
  const rows = new Map<string, { reason: Reason; count: number; workers: Set<number> }>()
  for (const { worker, result } of parts)
    for (const reason of result.reasons) {
      const key = JSON.stringify([reason.of, reason.kind, reason.version, reason.reason])
      const row = rows.get(key) ?? { reason, count: 0, workers: new Set<number>() }
      row.count += reason.count
      row.workers.add(worker)
      rows.set(key, row)
    }
  return [...rows.values()].map((row) => ({
    ...row.reason,
    count: row.count,
    workers: [...row.workers].sort((a, b) => a - b),
  }))
}

/** At least as many sessions of each worker, so of all, had no longer pause than the largest of the quantiles. */
function largest(pauses: readonly (Pauses | null)[]): Pauses | null {
  const known = pauses.filter((pause) => pause !== null)
  if (known.length === 0) return null
  const most = (of: keyof Pauses) => Math.max(...known.map((pause) => pause[of]))
  return { p50: most('p50'), p99: most('p99'), max: most('max') }
}

function followedOf(followed: readonly Followed[]): Followed {
  const sessions = followed.reduce((sum, each) => sum + each.sessions, 0)
  return { sessions, pauseMs: largest(followed.map(({ pauseMs }) => pauseMs)) }
}

function longest(all: readonly (readonly PhaseDuration[])[]): PhaseDuration[] {
  const rows = new Map<string, number>()
  // Those that came farthest first: their phases are in the order they came.
  for (const phases of all.toSorted((a, b) => b.length - a.length))
    for (const { phase, durationMs } of phases) rows.set(phase, Math.max(rows.get(phase) ?? 0, durationMs))
  return [...rows].map(([phase, durationMs]) => ({ phase, durationMs }))
}
