/** Programs that know nothing of handover, under a supervisor. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { compiled } from './child.js'
import { type SupervisorOptions, startSupervisor, type TestSupervisor } from './supervisor.js'
import { within } from './timeout.js'

/** Not the shim of a version manager, which takes its time. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'

/** Why a test is skipped that needs this program; false when it is there. */
export function missing(program: string, ...args: string[]): string | false {
  return spawnSync(program, args, { stdio: 'ignore' }).error === undefined ? false : `${program} is not installed`
}

export const NO_PYTHON = missing(PYTHON, '--version')

/** A file of test/fixtures/programs that is not compiled. */
export const fixture = (name: string): string => compiled(`../test/fixtures/programs/${name}`)

/** The server that takes its listeners by LISTEN_FDS: release, then what it does wrong. */
export const python = (release: string, fault = ''): string[] => [PYTHON, fixture('listen_fds.py'), release, fault]

/** What the Python server says when it has its listeners. */
export const STARTED = /^started release=(\S+) pid=(\d+) ppid=(\d+) web=(\d+)/

export async function servingPython(
  t: Test,
  options: Partial<SupervisorOptions> = {},
): Promise<{ supervisor: TestSupervisor; port: number; pid: number }> {
  const supervisor = startSupervisor(t, {
    command: python('1'),
    ...options,
    options: ['--listen', 'web=127.0.0.1:0', ...(options.options ?? [])],
  })
  const [, , pid, , port] = await supervisor.child.line(STARTED)
  await supervisor.child.line(/"msg":"serving"/)
  return { supervisor, port: Number(port), pid: Number(pid) }
}

/** A connection that is accepted, and asks nothing yet. */
export async function hold(t: Test, port: number): Promise<{ ask(): Promise<string>; socket: Socket }> {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  await within(new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject)), 'a connection')
  return {
    socket,
    ask: () => {
      let text = ''
      socket.setEncoding('latin1')
      socket.on('data', (chunk: unknown) => {
        text += String(chunk)
      })
      socket.write('who\n')
      return within(
        new Promise<string>((resolve) => socket.once('close', () => resolve(text)).on('error', () => undefined)),
        'an answer',
      )
    },
  }
}

/** What a process was started with. */
export const environmentOf = (pid: number): Record<string, string> =>
  Object.fromEntries(
    readFileSync(`/proc/${pid}/environ`, 'latin1')
      .split('\0')
      .filter((entry) => entry.includes('='))
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )
