/** Real processes that announce themselves by lines of output. Each is reaped when its test ends. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { FACT_WITHIN_MS, within } from './timeout.js'

/** The part of a tap test the harness needs. */
export interface Teardown {
  teardown(handler: () => unknown): void
}

export interface ChildOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** Whose process it is, where this one is root's. */
  readonly owner?: { readonly uid: number; readonly gid: number }
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Child {
  readonly pid: number
  /** Lines of stdout and stderr so far, in the order they came. */
  readonly lines: readonly string[]
  readonly exited: Promise<Exit>
  /** The end together with the last line of output; never, while a grandchild holds the streams open. */
  readonly closed: Promise<Exit>
  readonly hasExited: boolean
  /** The first line, past or future, that matches; `from` skips lines before that index. */
  line(pattern: RegExp, from?: number, withinMs?: number): Promise<RegExpExecArray>
  write(text: string): void
  /** Signals by pid and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<Exit>
}

const compiledRoot = new URL('../../', import.meta.url)

/** A compiled file of the package, such as `test/fixtures/stream-server.js`. */
export const compiled = (path: string): string => fileURLToPath(new URL(path, compiledRoot))

/** The environment without what tap and a debugger put into it for their own processes. */
export function cleanEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => name !== 'NODE_OPTIONS' && !name.startsWith('TAP'))
  return { ...Object.fromEntries(own), ...more }
}

export function startChild(t: Teardown, command: string, args: readonly string[], options: ChildOptions = {}): Child {
  const child = spawn(command, [...args], {
    cwd: options.cwd,
    env: cleanEnvironment(options.env),
    stdio: 'pipe',
    ...options.owner,
  })
  const lines: string[] = []
  const wanted = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      lines.push(line)
      for (const look of wanted) look()
    })
  }
  child.stdin.on('error', () => child.stdin.destroy())
  // 'close' comes after the last line, 'exit' may come before it; but a grandchild can hold the streams open for ever.
  const closed = once(child, 'close').then(([code, signal]): Exit => ({ code, signal }))
  const exited = once(child, 'exit').then(([code, signal]): Exit => ({ code, signal }))
  const hasExited = (): boolean => child.exitCode !== null || child.signalCode !== null
  let isClosed = false
  child.once('close', () => {
    isClosed = true
    for (const look of wanted) look()
  })

  function line(pattern: RegExp, from = 0, withinMs = FACT_WITHIN_MS): Promise<RegExpExecArray> {
    const found = new Promise<RegExpExecArray>((resolve, reject) => {
      let index = from
      const look = (): void => {
        for (; index < lines.length; index += 1) {
          const match = pattern.exec(lines[index]!)
          if (match === null) continue
          wanted.delete(look)
          resolve(match)
          return
        }
        if (!isClosed) return
        wanted.delete(look)
        reject(new Error(`process ${child.pid} ended without a line like ${pattern}:\n${lines.join('\n')}`))
      }
      wanted.add(look)
      look()
    })
    const what = (): string => `a line like ${pattern} of process ${child.pid}; it said:\n${lines.join('\n')}`
    return within(found, what, withinMs)
  }

  async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    if (!hasExited()) child.kill(signal)
    return within(exited, `the end of process ${child.pid} after ${signal}`)
  }

  // A program that could not be started is reported below; nobody may be waiting for its end.
  exited.catch(() => undefined)
  closed.catch(() => undefined)
  t.teardown(async () => {
    if (child.pid !== undefined) await kill()
  })
  if (child.pid === undefined) throw new Error(`${command} could not be started`)
  return {
    pid: child.pid,
    lines,
    exited,
    closed,
    get hasExited() {
      return hasExited()
    },
    line,
    write: (text) => void child.stdin.write(text),
    kill,
  }
}

/** Starts a compiled file of the package with this Node, or the one named. */
export function startNode(t: Teardown, path: string, args: readonly string[] = [], options?: ChildOptions): Child {
  return startChild(t, process.execPath, [compiled(path), ...args], options)
}
