/** A real systemd, booted for one test file, and what its users type. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cleanEnvironment, type Teardown } from '../../harness/child.js'
import { FACT_WITHIN_MS, scaled, within } from '../../harness/timeout.js'

const project = fileURLToPath(new URL('../../../../', import.meta.url))
const script = (name: string): string => join(project, 'test/systemd/harness', name)

export interface Said {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Machine {
  readonly version: number
  /** Runs a command inside, to its end. */
  run(...command: string[]): Promise<Said>
  /** The same; throws unless it succeeds. Returns what it printed. */
  must(...command: string[]): Promise<string>
  /** `systemctl show`: one property of a unit. */
  property(unit: string, name: string): Promise<string>
  /** Resolves when that property has that value. */
  becomes(unit: string, name: string, value: string | RegExp): Promise<void>
  journal(unit: string): Promise<string>
  /** Writes a file to the folder that is /srv/test inside; returns its path there. */
  write(name: string, text: string): string
}

/** The compiled command line, as it is seen inside. */
export const CLI = '/srv/handover/dist/src/cli/main.js'
const FOLDER = '/srv/test'

/** Why there cannot be one here; false when there can. */
export const noMachine: string | false = whyNot()

function whyNot(): string | false {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return 'systemd in namespaces needs Linux and root'
  if (!existsSync('/lib/systemd/systemd')) return 'the package systemd is not installed'
  const { status } = spawnSync('unshare', ['--pid', '--fork', '--mount', '--uts', '--ipc', '--cgroup', 'true'])
  return status === 0 ? false : 'this machine does not allow namespaces of its own (unshare)'
}

/** The folder of a newer systemd, fetched if need be; undefined when it cannot be had. */
export function newerSystemd(): string | undefined {
  const cache = process.env['HANDOVER_SYSTEMD_CACHE'] ?? join(homedir(), '.cache/handover-systemd')
  const folder = join(cache, 'backports')
  const binary = join(folder, 'usr/lib/systemd/systemd')
  if (!existsSync(binary)) spawnSync('bash', [script('backport.sh'), folder], { timeout: scaled(60_000) })
  return existsSync(binary) ? folder : undefined
}

export async function bootMachine(t: Teardown, tree?: string): Promise<Machine> {
  const booted = await run(['start', project, ...(tree === undefined ? [] : [tree])])
  if (booted.code !== 0) throw new Error(`systemd did not boot: ${booted.stderr}`)
  const state = booted.stdout.trim()
  t.teardown(async () => {
    await run(['stop', state])
    if (existsSync(state)) throw new Error(`${state} is left over`)
  })
  const inside = (...command: string[]): Promise<Said> => run(['run', state, ...command])
  const must = async (...command: string[]): Promise<string> => {
    const { code, stdout, stderr } = await inside(...command)
    if (code !== 0) throw new Error(`${command.join(' ')}: exit ${code}: ${stdout}${stderr}`)
    return stdout
  }
  const property = async (unit: string, name: string): Promise<string> =>
    (await must('systemctl', 'show', '--value', '-p', name, unit)).trim()
  const shared = join(state, 'shared')
  const path = (name: string): string => join(shared, name)
  const [, version] = /^systemd (\d+)/.exec(await must('systemctl', '--version')) ?? []
  return {
    version: Number(version),
    run: inside,
    must,
    property,
    becomes: async (unit, name, value) => {
      const giveUpAt = performance.now() + FACT_WITHIN_MS
      for (;;) {
        const now = await property(unit, name)
        if (typeof value === 'string' ? now === value : value.test(now)) return
        if (performance.now() > giveUpAt) throw new Error(`${name} of ${unit} did not become ${value}: it is ${now}`)
      }
    },
    journal: (unit) => must('journalctl', '--no-pager', '-o', 'cat', '-u', unit),
    write: (name, text) => {
      mkdirSync(join(path(name), '..'), { recursive: true })
      writeFileSync(path(name), text, { mode: 0o644 })
      return join(FOLDER, name)
    },
  }
}

async function run(args: readonly string[]): Promise<Said> {
  const child = spawn('bash', [script('machine.sh'), ...args], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += String(text)))
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += String(text)))
  const ended = new Promise<Said>((resolve) => {
    // Not 'close': systemd itself holds the streams of the one that started it.
    child.once(args[0] === 'start' ? 'exit' : 'close', (code: number | null) => resolve({ code, stdout, stderr }))
  })
  return within(ended, `machine.sh ${args.join(' ')}`, scaled(60_000))
}
