/** `handover doctor`: whether this machine has what it takes, and what to do where it has not. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { adminSocketPath, examine, type Finding, type SupervisorStatus } from '../supervisor/index.js'
import { unitName } from '../supervisor/systemd/unit.js'
import { request } from './client.js'
import { listNodes } from './nodes/index.js'

const ANSWERS_WITHIN_MS = 10_000
/** The oldest that was tried. */
const OLDEST_SYSTEMD = 252

/** Everything, in the order it is to be read. */
export async function doctor(name: string): Promise<Finding[]> {
  const [own, ...others] = await Promise.all([
    examine(adminSocketPath(name)),
    lookAtNodes(),
    lookAtSystemd(),
    lookAtUnit(name),
    lookAtSupervisor(name),
  ])
  return [...own, ...others]
}

async function lookAtNodes(): Promise<Finding> {
  const versions = (await listNodes()).map(({ version }) => version)
  return { what: 'other Nodes', verdict: 'ok', found: versions.join(', ') }
}

async function lookAtSystemd(): Promise<Finding> {
  const said = await systemctl('--version')
  const version = Number(/^systemd (\d+)/.exec(said ?? '')?.[1] ?? 0)
  if (version === 0) return { what: 'systemd', verdict: 'ok', found: 'not here' }
  if (version >= OLDEST_SYSTEMD) return { what: 'systemd', verdict: 'ok', found: String(version) }
  return {
    what: 'systemd',
    verdict: 'warning',
    found: `${version}, older than what was tried (${OLDEST_SYSTEMD})`,
    next: 'Try a reload and a restart before you rely on them.',
  }
}

/** What of a unit must be so, or an upgrade kills what it is to keep. */
const NEEDED: readonly (readonly [property: string, isRight: RegExp, why: string])[] = [
  ['Type', /^notify(-reload)?$/, 'Type= must be notify: READY=1 says when the first generation serves'],
  ['NotifyAccess', /^(main|exec|all)$/, 'NotifyAccess= must be main'],
  ['KillMode', /^(mixed|process)$/, 'KillMode= must be mixed: control-group ends the runtimes before they are drained'],
]

async function lookAtUnit(name: string): Promise<Finding> {
  const what = 'unit'
  const unit = unitName(name)
  const properties = ['LoadState', 'ActiveState', ...NEEDED.map(([property]) => property)]
  const said = await systemctl('show', unit, `--property=${properties.join(',')}`)
  const has = new Map((said ?? '').split('\n').map((line) => line.split('=', 2) as [string, string]))
  if (has.get('LoadState') !== 'loaded') return { what, verdict: 'ok', found: `no ${unit}.service is loaded` }
  const [wrong] = NEEDED.filter(([property, isRight]) => !isRight.test(has.get(property) ?? ''))
  const found = `${unit}.service, ${has.get('ActiveState')}`
  if (wrong === undefined) return { what, verdict: 'ok', found }
  const [property, , why] = wrong
  return {
    what,
    verdict: 'bad',
    found: `${found}, ${property}=${has.get(property)}`,
    next: `${why}. "handover unit" prints a whole one.`,
  }
}

async function lookAtSupervisor(name: string): Promise<Finding> {
  const what = 'supervisor'
  try {
    const { pid, generations } = await request<SupervisorStatus>(name, { verb: 'status' })
    return { what, verdict: 'ok', found: `"${name}" runs as pid ${pid}, with ${generations.length} processes` }
  } catch {
    return { what, verdict: 'ok', found: `none of the name "${name}" answers` }
  }
}

/** Undefined where there is none, or it has nothing to say. */
async function systemctl(...args: string[]): Promise<string | undefined> {
  try {
    return (await promisify(execFile)('systemctl', args, { timeout: ANSWERS_WITHIN_MS })).stdout
  } catch {
    return undefined
  }
}
