/** The stream server of test/fixtures under a supervisor and under load. */
import type { Test } from 'tap'
import { compiled } from './child.js'
import { Load } from './load.js'
import { READY, type SupervisorOptions, startSupervisor, type TestSupervisor } from './supervisor.js'

export const STREAM_SERVER = compiled('test/fixtures/stream-server.js')

/** The command that runs the stream server. */
export const stream = (...args: string[]): string[] => ['node', STREAM_SERVER, ...args]

export interface Serving {
  readonly supervisor: TestSupervisor
  readonly port: number
  /** Talks already. */
  readonly load: Load
}

export interface ServingOptions extends Omit<SupervisorOptions, 'command'> {
  readonly clients?: number
  /** Arguments of the first generation. */
  readonly args?: readonly string[]
  /** What runs the server, in front of its command. */
  readonly wrapper?: readonly string[]
}

export async function serving(
  t: Test,
  { clients = 30, args = [], wrapper = [], ...options }: ServingOptions = {},
): Promise<Serving> {
  const supervisor = startSupervisor(t, { ...options, command: [...wrapper, ...stream(...args)] })
  const port = Number((await supervisor.child.line(READY))[4])
  return { supervisor, port, load: (await Load.open(port, clients)).start() }
}

/** No byte was wrong, as the servers saw it. */
export const wrongLines = ({ supervisor }: Serving): string[] =>
  supervisor.child.lines.filter((line) => line.startsWith('WRONG'))
