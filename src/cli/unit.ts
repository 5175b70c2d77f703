/** `handover unit`: what systemd needs to run a server under a supervisor. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HandoverError, messageOf } from '../errors.js'
import { adminSocketPath } from '../supervisor/directory.js'
import { keepMs } from '../supervisor/keeper.js'
import {
  notifyReloadDropIn,
  type SocketOption,
  serviceUnit,
  socketUnits,
  unitName,
} from '../supervisor/systemd/unit.js'
import { parseDuration } from './duration.js'

export interface UnitFlags {
  readonly name: string
  readonly install?: boolean
  readonly socket: readonly string[]
  readonly user?: string
  readonly group?: string
  readonly dynamicUser?: boolean
  readonly watchdog: string
  readonly writable: readonly string[]
  readonly drain: string
  readonly readyTimeout: string
  readonly check: string
  readonly copy: string
  readonly freeze: string
  readonly health?: string
  readonly probation?: string
  readonly node?: string
}

/** With probation, there and back. */
function longestUpgradeMs({ readyTimeout, check, copy, freeze, drain, health, probation }: UnitFlags): number {
  const onceMs = [readyTimeout, check, copy, freeze, drain].map(parseDuration).reduce((sum, ms) => sum + ms)
  const trialMs = parseDuration(probation ?? (health === undefined ? '0s' : '30s'))
  return trialMs === 0 ? onceMs : 2 * onceMs + trialMs
}

const FOLDER = '/etc/systemd/system'
/** From here on there is Type=notify-reload. */
const NOTIFY_RELOAD = 253

/** Returns what is to be printed. @throws HandoverError HANDOVER_USAGE, HANDOVER_UNIT_NOT_INSTALLED */
export function unit(command: readonly string[], flags: UnitFlags, options: readonly string[]): string {
  adminSocketPath(flags.name, {})
  const sockets = socketUnits(flags.name, flags.socket.map(parseSocket))
  const [node, cli] = [realpathSync(process.execPath), realpathSync(process.argv[1] as string)]
  // A service has another PATH than who installs it; the Node it is tried out with is the one it gets.
  const isNode = command[0] === 'node'
  const service = serviceUnit({
    name: flags.name,
    node,
    cli,
    options: isNode && !options.includes('--node') ? ['--node', node, ...options] : options,
    command,
    directory: process.cwd(),
    ...(flags.user === undefined ? {} : { user: flags.user }),
    ...(flags.group === undefined ? {} : { group: flags.group }),
    ...(flags.dynamicUser === undefined ? {} : { dynamicUser: flags.dynamicUser }),
    drainMs: parseDuration(flags.drain),
    keepMs: keepMs({ checkMs: parseDuration(flags.check), freezeMs: parseDuration(flags.freeze) }),
    upgradeMs: longestUpgradeMs(flags),
    watchdogSeconds: Math.ceil(parseDuration(flags.watchdog) / 1000),
    sockets: [...sockets.keys()],
    writable: flags.writable,
  })
  const file = `${unitName(flags.name)}.service`
  const files = new Map([[file, service], ...sockets])
  if (flags.install === true) return install(files, file)
  if (files.size === 1) return service
  return [...files].map(([name, text]) => `# ${join(FOLDER, name)}\n${text}`).join('\n')
}

function install(files: ReadonlyMap<string, string>, service: string): string {
  const said: string[] = []
  const version = systemdVersion()
  const dropIn = `${service}.d/notify-reload.conf`
  const all = version >= NOTIFY_RELOAD ? new Map([...files, [dropIn, notifyReloadDropIn()]]) : files
  try {
    for (const [name, text] of all) {
      const path = join(FOLDER, name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text, { mode: 0o644 })
      said.push(`wrote ${path}`)
    }
    execFileSync('systemctl', ['daemon-reload'], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (cause) {
    throw new HandoverError(
      'HANDOVER_UNIT_NOT_INSTALLED',
      `the unit could not be installed (${said.join(', ') || 'nothing was written'}): ${messageOf(cause).trim()}`,
      { cause },
    )
  }
  const sockets = [...files.keys()].filter((name) => name.endsWith('.socket'))
  const name = service.replace(/\.service$/, '')
  return `${said.join('\n')}
systemd ${version} has read them. Next:
  systemctl enable --now ${[...sockets, service].join(' ')}
  systemctl reload ${name}     upgrades it, and says whether that worked
  systemctl restart ${name}    replaces the supervisor too; its listening sockets stay
`
}

function systemdVersion(): number {
  try {
    const text = execFileSync('systemctl', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return Number(/^systemd (\d+)/.exec(text)?.[1] ?? 0)
  } catch (cause) {
    throw new HandoverError(
      'HANDOVER_UNIT_NOT_INSTALLED',
      `there is no systemctl on this machine to install it with: ${messageOf(cause)}`,
      { cause },
    )
  }
}

function parseSocket(text: string): SocketOption {
  const [, name, address] = /^([^=]+)=(.+)$/.exec(text) ?? []
  if (name !== undefined && address !== undefined && /^(\/.+|(.+:)?\d{1,5})$/.test(address)) return { name, address }
  throw new HandoverError(
    'HANDOVER_USAGE',
    `--socket ${JSON.stringify(text)} must be NAME=PORT, NAME=HOST:PORT or NAME=/PATH, such as http=80`,
  )
}
