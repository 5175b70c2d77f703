/** The command line as a script uses it: its exit status, and its two streams apart. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cleanEnvironment, compiled } from './child.js'
import { scaled, within } from './timeout.js'

export interface Outputs {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs `handover ARGS` to its end.
 * @param wrapper a program and its arguments that runs it.
 */
export async function runCli(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  wrapper: readonly string[] = [],
): Promise<Outputs> {
  const [program = '', ...rest] = [...wrapper, process.execPath, compiled('src/cli/main.js'), ...args]
  const child = spawn(program, rest, {
    env: cleanEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += String(text)))
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += String(text)))
  try {
    const [code] = (await within(once(child, 'close'), `the end of handover ${args.join(' ')}`, scaled(60_000))) as [
      number | null,
    ]
    return { code, stdout, stderr }
  } finally {
    child.kill('SIGKILL')
  }
}
