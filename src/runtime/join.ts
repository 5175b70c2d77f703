/** How a program becomes a runtime. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join as joinPath, resolve } from 'node:path'
import { HandoverError } from '../errors.js'
import { binding } from '../sys/binding.js'
import { CHANNEL_VARIABLE, Control } from './control.js'
import { REJOIN_VARIABLE } from './rejoin.js'
import { JoinedRuntime } from './runtime.js'
import type { Transport } from './transport.js'
import type { JoinOptions, Runtime } from './types.js'

let joined = false

/** `join` for one transport; see src/index.ts. */
export async function joinWith(transport: Transport, options: JoinOptions): Promise<Runtime> {
  if (joined)
    throw new HandoverError('HANDOVER_USAGE', 'join() was called twice in this process: share the runtime it returned')
  joined = true
  const channel = process.env[CHANNEL_VARIABLE]
  const rejoin = process.env[REJOIN_VARIABLE]
  // Programs this one starts are not the supervisor's runtimes.
  delete process.env[CHANNEL_VARIABLE]
  delete process.env[REJOIN_VARIABLE]
  if (channel === undefined) return new JoinedRuntime(undefined, 1, transport, options.logger)
  releaseListeners(descriptorIn(CHANNEL_VARIABLE, channel))
  const { control, welcome } = await Control.connect(
    Number(channel),
    options.release ?? defaultRelease(),
    rejoin === undefined ? undefined : descriptorIn(REJOIN_VARIABLE, rejoin),
  )
  return new JoinedRuntime(control, welcome.generation, transport, options.logger, welcome.worker)
}

function descriptorIn(name: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new HandoverError('HANDOVER_USAGE', `${name} must be a descriptor, not ${JSON.stringify(text)}`)
}

/** The first descriptor after the standard streams: SD_LISTEN_FDS_START. */
const FIRST_PASSED = 3
/** For sd_listen_fds(3) and sd_notify(3): of this process, and not of those it starts. */
const PASSED_VARIABLES = ['LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PID', 'NOTIFY_SOCKET']

/**
 * A runtime asks for its listeners by name. The copies that every program is started with lie before the channel; kept, they
 * would go to each program this one starts.
 */
function releaseListeners(channel: number): void {
  for (const name of PASSED_VARIABLES) delete process.env[name]
  for (let fd = FIRST_PASSED; fd < channel; fd++) if (binding().isListening(fd)) binding().close(fd)
}

/** name@version of the package the main script belongs to, or the script itself. */
function defaultRelease(): string {
  const script = resolve(process.argv[1] ?? '.')
  for (let folder = dirname(script); ; folder = dirname(folder)) {
    const file = joinPath(folder, 'package.json')
    if (existsSync(file)) {
      try {
        const { name, version } = JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown; version?: unknown }
        if (typeof name === 'string' && typeof version === 'string') return `${name}@${version}`.slice(0, 128)
      } catch {
        // Not a package.json one can read: look further up.
      }
    }
    if (dirname(folder) === folder) return script.slice(-128)
  }
}
