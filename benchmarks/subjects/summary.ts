/** Medians over the rounds, one row for each way to move idle sessions. */
import type { Round } from '../bench.js'
import { type MoveFigures, median, medianOf } from '../statistics.js'
import { SUBJECTS, type Subject } from './subjects.js'

export interface SubjectResult {
  subject: string
  moved: number
  sessionsPerSecond: number
  /** Least and most of the rounds. */
  range: { least: number; most: number }
  /** To the first row, round by round. */
  ratio: number
  durationMs: number
  pauseMs: { p50: number; p99: number; max: number }
}

type Figures = Pick<MoveFigures, 'moved' | 'sessionsPerSecond' | 'durationMs' | 'pauseMs'>

const precopied = ({ upgrade: { sessions, transferMs, pauseMs } }: Round): Figures => ({
  moved: sessions,
  sessionsPerSecond: (sessions / transferMs) * 1000,
  durationMs: transferMs,
  pauseMs,
})

export function summarize(rounds: readonly Round[]): SubjectResult[] {
  const base = rounds.map(precopied)
  const row = (subject: string, trials: readonly Figures[]): SubjectResult => {
    const rates = trials.map(({ sessionsPerSecond }) => sessionsPerSecond)
    return {
      subject,
      moved: medianOf(trials, ({ moved }) => moved),
      sessionsPerSecond: median(rates),
      range: { least: Math.min(...rates), most: Math.max(...rates) },
      ratio: median(rates.map((rate, round) => rate / base[round]!.sessionsPerSecond)),
      durationMs: medianOf(trials, ({ durationMs }) => durationMs),
      pauseMs: {
        p50: medianOf(trials, ({ pauseMs }) => pauseMs.p50),
        p99: medianOf(trials, ({ pauseMs }) => pauseMs.p99),
        max: medianOf(trials, ({ pauseMs }) => pauseMs.max),
      },
    }
  }
  const subjects = Object.keys(SUBJECTS) as Subject[]
  return [
    row('handover, pre-copy', base),
    ...subjects.map((subject) =>
      row(
        SUBJECTS[subject].title,
        rounds.map(({ moves }) => moves[subject]),
      ),
    ),
  ]
}
