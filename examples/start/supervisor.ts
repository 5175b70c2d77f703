/** An example under `handover run`, driven through the command line as a person would. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { UpgradeResult } from 'handover/supervisor'

const READY_WITHIN_MS = 30_000

export const CLI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))
const example = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url))

/** Two releases each, by what `upgrade` calls them. */
export const TCP = { 'chat-1': example('tcp/release-1.js'), 'chat-2': example('tcp/release-2.js') } as const
export const CHAT = { 'chat 1.0': example('chat/release-1.js'), 'chat 2.0': example('chat/release-2.js') } as const

export class Service<Name extends string> {
  readonly directory: string
  readonly port: number
  readonly #supervisor: ChildProcess
  readonly #releases: Readonly<Record<Name, string>>
  readonly #log: string[]

  private constructor(
    directory: string,
    port: number,
    supervisor: ChildProcess,
    releases: Readonly<Record<Name, string>>,
    log: string[],
  ) {
    this.#releases = releases
    this.directory = directory
    this.port = port
    this.#supervisor = supervisor
    this.#log = log
  }

  /** Starts the first release and resolves when it serves. `onLine` gets what service and supervisor print. */
  static async start<Name extends string>(
    releases: Readonly<Record<Name, string>>,
    onLine: (line: string) => void,
    env: NodeJS.ProcessEnv = {},
  ): Promise<Service<Name>> {
    const [first] = Object.values<string>(releases)
    const directory = await mkdtemp(join(tmpdir(), 'handover-chat-'))
    // In a process group of its own: Ctrl-C must reach it through us, in order, and not at the same time as us.
    const supervisor = spawn(process.execPath, [CLI, 'run', '--name', 'chat', '--', 'node', first!], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...environment(directory), ...env },
    })
    const log: string[] = []
    const port = await new Promise<number>((resolve, reject) => {
      const onOutput = (line: string): void => {
        onLine(line)
        log.push(line)
        if (log.length > 40) log.shift()
        const serving = / serves 127\.0\.0\.1:(\d+) /.exec(line)
        if (serving) resolve(Number(serving[1]))
      }
      createInterface(supervisor.stdout).on('line', onOutput)
      createInterface(supervisor.stderr).on('line', onOutput)
      supervisor.once('error', reject)
      supervisor.once('close', () => reject(new Error(`the supervisor ended:\n${log.join('\n')}`)))
      setTimeout(() => reject(new Error(`no release was ready within ${READY_WITHIN_MS} ms`)), READY_WITHIN_MS).unref()
    }).catch(async (error: unknown) => {
      if (supervisor.exitCode === null && supervisor.signalCode === null && supervisor.kill())
        await once(supervisor, 'close')
      await rm(directory, { recursive: true, force: true })
      throw error
    })
    return new Service(directory, port, supervisor, releases, log)
  }

  /** `handover upgrade -- node RELEASE`, with its result. */
  async upgrade(release: Name): Promise<UpgradeResult> {
    const args = [CLI, 'upgrade', '--name', 'chat', '--json', '--', 'node', this.#releases[release]]
    const stdio = ['ignore', 'pipe', 'pipe'] as const
    const command = spawn(process.execPath, args, { stdio: [...stdio], env: environment(this.directory) })
    let stdout = ''
    let stderr = ''
    command.stdout!.on('data', (chunk) => (stdout += chunk))
    command.stderr!.on('data', (chunk) => (stderr += chunk))
    const [code] = (await once(command, 'close')) as [number | null]
    try {
      return JSON.parse(stdout.trim().split('\n').at(-1)!) as UpgradeResult
    } catch {
      throw new Error(`handover upgrade ended with ${code} and no result:\n${stderr}${this.#log.join('\n')}`)
    }
  }

  get hasEnded(): boolean {
    return this.#supervisor.exitCode !== null || this.#supervisor.signalCode !== null
  }

  /** It ended because it was told to. */
  get endedWell(): boolean {
    return this.#supervisor.exitCode === 0
  }

  ended(): Promise<unknown> {
    return this.hasEnded ? Promise.resolve() : once(this.#supervisor, 'close')
  }

  /** SIGTERM stops supervisor and service in order; the private directory goes too. */
  async stop(): Promise<void> {
    const ended = this.ended()
    this.#supervisor.kill('SIGTERM')
    await ended
    await rm(this.directory, { recursive: true, force: true })
  }
}

function environment(directory: string): NodeJS.ProcessEnv {
  return { ...process.env, XDG_RUNTIME_DIR: directory, PORT: process.env['PORT'] ?? '0' }
}
