/** Short programs in a Node of their own: what ends, limits or pollutes a process is tried there. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { cleanEnvironment } from '../harness/child.js'
import { scaled } from '../harness/timeout.js'

/** The package's folder, seen from dist/test/native. */
export const packageRoot = fileURLToPath(new URL('../../../', import.meta.url))

export const addonPath = `${packageRoot}build/Release/handover.node`

/** Every script begins with the addon as `b`, and what most of them need. */
const prelude = `
import { createRequire } from 'node:module'
import { readdirSync, readFileSync } from 'node:fs'
const b = createRequire('${packageRoot}package.json')(process.env.ADDON ?? '${addonPath}')
const POLLIN = 1, POLLOUT = 4, POLLERR = 8
const openDescriptors = () => readdirSync('/proc/self/fd').length
const turn = () => new Promise((resolve) => setImmediate(resolve))
const say = (value) => console.log(JSON.stringify(value))
const caught = (call) => { try { call() } catch (error) { return { code: error.code, errno: error.errno, syscall: error.syscall } } }
`

export const programOf = (body: string): string => `${prelude}\n${body}`

export interface ScriptOptions {
  readonly node?: string
  readonly flags?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** A shell that runs first; it ends in \`exec "$@"\`. */
  readonly shell?: string
}

export interface ScriptResult {
  /** What the script said, line by line. */
  readonly said: unknown[]
  readonly code: number | null
  readonly signal: string | null
  readonly stderr: string
}

export function runScript(body: string, options: ScriptOptions = {}): ScriptResult {
  const node = options.node ?? process.execPath
  const words = [node, ...(options.flags ?? []), '--input-type=module', '-e', programOf(body)]
  const [command, ...args] = options.shell === undefined ? words : ['sh', '-c', options.shell, 'sh', ...words]
  const result = spawnSync(command!, args, {
    encoding: 'utf8',
    env: cleanEnvironment(options.env),
    timeout: scaled(60_000),
    killSignal: 'SIGKILL',
  })
  const lines = result.stdout.split('\n').filter((line) => line !== '')
  return { said: lines.map(parse), code: result.status, signal: result.signal, stderr: result.stderr }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return line
  }
}
