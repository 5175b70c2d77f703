/** Results and status for people. */
import type { ImageName } from '../supervisor/image.js'
import type { Finding } from '../supervisor/index.js'
import type { UpgradeResult, WorkerResult } from '../supervisor/result.js'
import type { SupervisorStatus } from '../supervisor/status.js'
import { formatMs } from './duration.js'
import type { FoundNode } from './nodes/index.js'

const number = (value: number) => value.toLocaleString('en')

export function formatResult(result: UpgradeResult): string {
  const {
    spread,
    id,
    outcome,
    serves,
    from,
    to,
    sessions,
    pauseMs,
    followed,
    reasons,
    phases,
    durationMs,
    draining,
    workers,
  } = result
  const after = {
    successor: '',
    predecessor: '; the predecessor serves on',
    nobody: '; nobody serves, and the release in force is started again',
    both: '; some workers serve the new release, some the old',
  }[serves]
  const rows = [
    ['from', describeSide(from)],
    ['to', describeSide(to)],
    [
      'sessions',
      `${number(sessions.moved)} moved, ${number(sessions.drained)} drained, ${number(sessions.dropped)} dropped, ${number(sessions.refused)} refused`,
    ],
    ['pause', formatPause(pauseMs)],
    ...(workers.length === 1 ? [] : workers.map(({ worker, ...row }) => [`worker ${worker}`, describeWorker(row)])),
    ...(followed.sessions === 0
      ? []
      : [['followed', `${number(followed.sessions)} after commit, pause ${formatPause(followed.pauseMs)}`]]),
    ...(spread.sessions === 0
      ? []
      : [['spread', `${number(spread.sessions)} to new workers, pause ${formatPause(spread.pauseMs)}`]]),
    ...(draining.length === 0
      ? []
      : [
          [
            'draining',
            draining.map(({ generation, leftMs }) => `generation ${generation}, ${formatMs(leftMs)} left`).join('; '),
          ],
        ]),
    ['phases', phases.map(({ phase, durationMs: ms }) => `${phase} ${formatMs(ms)}`).join(', ')],
    ...reasons.map(({ of, reason, count, kind, version, workers: whose }, index) => {
      const where = whose === undefined ? undefined : `worker ${whose.join(', ')}`
      const what = [kind, version === undefined ? undefined : `version ${version}`, where].filter(Boolean).join(' ')
      return [
        index === 0 ? 'reasons' : '',
        `${of}${count > 1 ? ` ×${number(count)}` : ''}${what === '' ? '' : ` (${what})`}: ${reason}`,
      ]
    }),
  ] as [string, string][]
  return [
    `upgrade ${id} ${outcome}${after} (${formatMs(durationMs)})`,
    ...rows.map(([name, text]) => `  ${name.padEnd(9)} ${text}`),
    ...formatProbation(result),
  ].join('\n')
}

function formatProbation({ id, probation }: UpgradeResult): string[] {
  if (probation === undefined) return []
  const { verdict, reason, undo } = probation
  const said = {
    passed: 'passed',
    undone: 'failed, and undone: the release before serves again',
    unhealthy: 'failed, and could not be undone',
    ended: 'ended early: another upgrade, or a stop, came first',
  }[verdict]
  return [
    `upgrade ${id}, probation: ${said}${reason === undefined ? '' : ` (${reason})`}`,
    ...(undo === undefined ? [] : formatResult(undo).split('\n')),
  ]
}

function describeWorker({ outcome, serves, sessions, pauseMs, to, from }: Omit<WorkerResult, 'worker'>): string {
  const { pid } = serves === 'successor' ? to : from
  const who = serves === 'nobody' ? 'nobody serves' : `the ${serves} serves${pid === null ? '' : `, pid ${pid}`}`
  const moved = sessions.moved === 0 ? '' : `, ${number(sessions.moved)} moved`
  return `${outcome}, ${who}${moved}${pauseMs === null ? '' : `, longest pause ${formatMs(pauseMs.max)}`}`
}

function formatPause(pause: UpgradeResult['pauseMs']): string {
  if (pause === null) return 'none'
  return `p50 ${formatMs(pause.p50)}, p99 ${formatMs(pause.p99)}, max ${formatMs(pause.max)}`
}

function describeSide({ generation, release, node, pid }: UpgradeResult['from']): string {
  return `generation ${generation}, ${release || 'unknown release'}${node === '' ? '' : `, Node ${node}`}${pid === null ? '' : `, pid ${pid}`}`
}

export function formatStatus(status: SupervisorStatus): string {
  const { generations, listeners, lastUpgrade, upgrades } = status
  const isOneOfMany = generations.some(({ worker }) => worker > 0)
  const heading = [
    ...(isOneOfMany ? ['worker'] : []),
    'generation',
    'state',
    'release',
    'node',
    'pid',
    'up',
    'sessions',
    'others',
  ]
  const rows = generations.map((generation) => [
    ...(isOneOfMany ? [String(generation.worker)] : []),
    String(generation.generation),
    generation.drainLeftMs === null
      ? generation.state
      : `${generation.state}, ${formatMs(generation.drainLeftMs)} left`,
    generation.release,
    generation.node,
    String(generation.pid ?? ''),
    formatMs(generation.uptimeMs),
    generation.sessions === null
      ? unknown(generation)
      : Object.entries(generation.sessions)
          .map(([kind, count]) => `${kind} ${number(count)}`)
          .join(', ') || '0',
    generation.unregistered === null ? unknown(generation) : number(generation.unregistered),
  ])
  const said = generations.flatMap(({ generation, said }) =>
    said === null ? [] : [`generation ${generation} said ${said}`],
  )
  return [
    `supervisor pid ${status.pid}, up ${formatMs(status.uptimeMs)}`,
    ...upgrades.map(
      ({ id, phase, from, to }) => `  upgrade ${id} from generation ${from} to ${to} is in progress (${phase})`,
    ),
    ...(status.probation === null
      ? []
      : [`  upgrade ${status.probation.upgrade} is on probation, ${formatMs(status.probation.leftMs)} left`]),
    ...columns([heading, ...rows]),
    ...said,
    ...listeners.map(({ name, address }) => `listener ${name} on ${address}`),
    ...(lastUpgrade === null ? [] : [`last ${formatResult(lastUpgrade)}`]),
  ].join('\n')
}

export const formatNodes = (nodes: readonly FoundNode[]): string =>
  columns(nodes.map(({ version, from, path }) => [version, from, path]))
    .map((line) => line.trimStart())
    .join('\n')

export function formatFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ what }) => what.length))
  return findings
    .flatMap(({ what, verdict, found, next }) => [
      `${verdict.padEnd(7)}  ${what.padEnd(width)}  ${found}`,
      ...(next === undefined ? [] : [`${' '.repeat(width + 11)}${next}`]),
    ])
    .join('\n')
}

/** What has come of `upgrade --supervisor`. */
export interface Replaced extends ImageName {
  readonly pid: number
  readonly from: ImageName
}

export const formatReplaced = ({ pid, version, node, from }: Replaced): string =>
  `supervisor pid ${pid} is handover ${version} on Node ${node} now (it was ${from.version} on Node ${from.node})`

/** A program cannot be asked; a runtime did not answer. */
const unknown = ({ joins }: { readonly joins: boolean }): string => (joins ? '?' : '-')

function columns(rows: readonly string[][]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
}
