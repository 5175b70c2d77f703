/** The unit files of a supervisor: systemd.service(5), systemd.socket(5), systemd.exec(5). */
import { HandoverError } from '../../errors.js'
import { EXIT_GRACE_MS } from '../options.js'

export interface UnitOptions {
  readonly name: string
  /** Absolute paths of the Node and the command line that run the supervisor. */
  readonly node: string
  readonly cli: string
  /** Options of `handover run`, besides --name and --keep. */
  readonly options: readonly string[]
  readonly command: readonly string[]
  readonly directory: string
  readonly user?: string
  readonly group?: string
  readonly dynamicUser?: boolean
  /** The longest an upgrade may take to its end. */
  readonly upgradeMs: number
  readonly drainMs: number
  /** How much longer a stop may take with `--keep sessions`. */
  readonly keepMs: number
  readonly watchdogSeconds: number
  /** Its socket units. */
  readonly sockets?: readonly string[]
  /** Folders it may write to, besides its own. */
  readonly writable?: readonly string[]
}

/** As a path of the file system has it: `handover-NAME.service`. */
export const unitName = (name: string): string => `handover-${name}`

const STORED_AT_MOST = 16_384
const DESCRIPTORS = 262_144
/** What a stop may take longer than its drain: signals, the last words, the end of the supervisor itself. */
const STOP_MARGIN_SECONDS = 15

/** What a supervisor and Node do not need. MemoryDenyWriteExecute is not among them: V8 makes code while it runs. */
const SANDBOX = `NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
# AF_UNIX: channels and sd_notify. AF_NETLINK: the network interfaces, for Node.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native`

const LISTENERS = `# SIGTERM goes to the supervisor, which stops its runtimes in order; whoever is left when it has ended is killed.
KillMode=mixed`
/** The end of a supervisor that was killed must not be that of its runtimes, nor of what the next one finds them by. */
const SESSIONS = `# SIGTERM goes to the supervisor, which stops its runtimes in order; those of one that was killed go on under the next.
KillMode=process
RuntimeDirectoryPreserve=yes`

/** The complete unit. @throws HandoverError HANDOVER_USAGE where systemd could not read it. */
export function serviceUnit(options: UnitOptions): string {
  const { name, node, cli, command, directory, user, group, dynamicUser, drainMs, watchdogSeconds } = options
  const handover = [node, cli]
  const run = [
    'run',
    '--name',
    name,
    ...(options.options.includes('--keep') ? [] : ['--keep', 'listeners']),
    ...options.options,
    '--',
    ...command,
  ]
  const keepsSessions = options.options[options.options.indexOf('--keep') + 1] === 'sessions'
  const stopMs = drainMs + EXIT_GRACE_MS + (keepsSessions ? options.keepMs : 0)
  const who = [
    ...(dynamicUser === true ? ['DynamicUser=yes'] : []),
    ...(user === undefined ? [] : [`User=${plain('--user', user)}`]),
    ...(group === undefined ? [] : [`Group=${plain('--group', group)}`]),
  ]
  const writable = options.writable ?? []
  return `# Made by "handover unit". Start: systemctl enable --now ${unitName(name)}. Upgrade: systemctl reload ${unitName(name)}.
[Unit]
Description=${escapeText(`${command.join(' ')} (handover ${name})`)}
Documentation=https://www.npmjs.com/package/handover
After=network.target
${lines((options.sockets ?? []).map((unit) => `Requires=${unit}\nAfter=${unit}`))}
[Service]
Type=notify
# Only the supervisor speaks to systemd, never a runtime.
NotifyAccess=main
${lines((options.sockets ?? []).map((unit) => `Sockets=${unit}`))}ExecStart=${quoted([...handover, ...run])}
# Waits for the end: an upgrade that is refused fails this job, and the service goes on as it was.
ExecReload=${quoted([...handover, 'upgrade', '--name', name])}
WorkingDirectory=${escapePath(directory)}
${lines(who)}RuntimeDirectory=handover/${name}
RuntimeDirectoryMode=0700
Restart=always
RestartSec=100ms
${keepsSessions ? SESSIONS : LISTENERS}
TimeoutStopSec=${Math.ceil(stopMs / 1000) + STOP_MARGIN_SECONDS}s
# Of a reload, too: as long as an upgrade may take, and its undoing.
TimeoutStartSec=${Math.ceil(options.upgradeMs / 1000) + STOP_MARGIN_SECONDS}s
${watchdogSeconds > 0 ? `WatchdogSec=${watchdogSeconds}s\n` : ''}# The listening sockets are kept there over a restart and a crash: no connection is refused meanwhile.
FileDescriptorStoreMax=${STORED_AT_MOST}
LimitNOFILE=${DESCRIPTORS}

# The sandbox: remove what your server needs.
${SANDBOX}
${lines(writable.map((path) => `ReadWritePaths=${escapePath(path)}`))}
[Install]
WantedBy=multi-user.target
`
}

/** For systemd 253 and newer: systemctl shows an upgrade as "reloading", and waits for its end whoever has asked for it. */
export function notifyReloadDropIn(): string {
  return `# Made by "handover unit", for systemd 253 and newer; an older one would take the service for Type=simple.
[Service]
Type=notify-reload
# The upgrade is asked for by ExecReload, which says how it ended; the signal is one that does nothing.
ReloadSignal=SIGCONT
`
}

export interface SocketOption {
  /** As the server asks for it: listen({ name }), or --listen. */
  readonly name: string
  /** As ListenStream= has it: a port, HOST:PORT, or a path. */
  readonly address: string
}

/** One unit for each socket: a unit has one FileDescriptorName. The first is the service's own. */
export function socketUnits(name: string, sockets: readonly SocketOption[]): Map<string, string> {
  const units = new Map<string, string>()
  for (const [index, socket] of sockets.entries()) {
    const file = `${unitName(name)}${index === 0 ? '' : `-${socket.name}`}.socket`
    units.set(
      file,
      `# Made by "handover unit".
[Unit]
Description=${escapeText(`socket "${socket.name}" of handover ${name}`)}

[Socket]
ListenStream=${escapePath(socket.address)}
FileDescriptorName=${plain('--socket', socket.name)}
Service=${unitName(name)}.service
Backlog=511

[Install]
WantedBy=sockets.target
`,
    )
  }
  return units
}

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('')

/** For a value that is a name. */
function plain(option: string, value: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(value)) return value
  throw new HandoverError(
    'HANDOVER_USAGE',
    `${option} ${JSON.stringify(value)} must be 1 to 64 letters, digits, dots, dashes and underscores`,
  )
}

/** "%" begins a specifier (systemd.unit(5)); a line ends the setting. */
function escapeText(text: string): string {
  return text.replaceAll('%', '%%').replace(/\p{C}/gu, ' ')
}

function escapePath(path: string): string {
  if (/\p{C}/u.test(path)) throw new HandoverError('HANDOVER_USAGE', `a unit file cannot name ${JSON.stringify(path)}`)
  return path.replaceAll('%', '%%')
}

/** A command line as systemd.service(5) reads it: quotes, C escapes, "$" for variables, "%" for specifiers. */
export function quoted(words: readonly string[]): string {
  return words
    .map((word) => {
      const escaped = word
        .replaceAll('%', '%%')
        .replaceAll('$', '$$$$')
        .replace(/["\\]/g, '\\$&')
        .replace(/[\p{Cc}]/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
      // A word of ";" alone separates commands; the quotes make it a word.
      return /^[A-Za-z0-9_./:=@,+%$-]+$/.test(escaped) ? escaped : `"${escaped}"`
    })
    .join(' ')
}
