/** A supervisor is killed, and another one of its name comes. */
import type { Test } from 'tap'
import type { SupervisorStatus } from '../../src/supervisor/status.js'
import { isRunning, processFact } from './census.js'
import { ask } from './prober.js'
import { type Serving, stream } from './stream.js'
import { type SupervisorOptions, startSupervisor, type TestSupervisor } from './supervisor.js'
import { scaled, until, within } from './timeout.js'

export const statusOf = async (supervisor: TestSupervisor): Promise<SupervisorStatus> =>
  (await supervisor.status()).json as unknown as SupervisorStatus

/** Resolves when the next one serves. */
export async function succeed(
  t: Test,
  before: TestSupervisor,
  options: Partial<SupervisorOptions> = {},
): Promise<TestSupervisor> {
  await before.child.kill('SIGKILL')
  const supervisor = startSupervisor(t, { command: stream(), ...options, after: before })
  await supervisor.child.line(/"msg":"serving"/)
  return supervisor
}

/** One process serves all, and the next upgrade is a good one. */
export async function goesOn(t: Test, served: Serving, supervisor: TestSupervisor): Promise<void> {
  const { port, load } = served
  await load.progress()
  const { pid } = await ask(port)
  const { generations } = await statusOf(supervisor)
  t.match(
    generations.find(({ state }) => state === 'serving'),
    { pid },
    'who answers is known',
  )
  await until(() => supervisor.processes().filter(({ state }) => state !== 'Z').length === 2, 'nobody else to be there')
  const { exitCode, json } = await supervisor.upgrade('--', ...stream())
  t.match(
    { exitCode, json },
    { exitCode: 0, json: { outcome: 'committed', sessions: { moved: load.clients.length, dropped: 0 } } },
  )
  t.notOk(isRunning(pid))
  await load.progress()
}

/** Nothing is left behind. */
export async function endsInOrder(t: Test, supervisor: TestSupervisor): Promise<void> {
  t.match(await supervisor.stop(), { exitCode: 0, exit: { code: 0 } })
  // Who has had another parent is reaped by whoever that is now.
  const left = supervisor.processes().filter(({ state }) => state !== 'Z')
  t.same(left, [], 'no process is left')
  t.same(supervisor.paths(), [], 'and no path')
}

/** What `upgrade --supervisor` prints. */
export interface Answer {
  readonly pid: number
  readonly node: string
  readonly from: { readonly node: string }
  readonly error?: { readonly code: string; readonly message: string }
}

export async function replace(
  supervisor: TestSupervisor,
  ...args: string[]
): Promise<{ code: number | null; json: Answer | undefined }> {
  const command = supervisor.start('upgrade', '--supervisor', ...args)
  const { code } = await within(command.closed, 'the end of upgrade --supervisor', scaled(60_000))
  const last = command.lines.findLast((line) => line.startsWith('{'))
  return { code, json: last === undefined ? undefined : (JSON.parse(last) as Answer) }
}

/** What runs in that process now. */
export const programOf = (pid: number): string => processFact(pid)?.command ?? ''
