/** A supervised WebSocket server, and what is done to it. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { compiled, type Teardown } from './child.js'
import { READY, startSupervisor, type TestSupervisor } from './supervisor.js'
import { until, within } from './timeout.js'

export const WS_SERVER = compiled('test/fixtures/ws-server.js')

export interface WsStage {
  readonly supervisor: TestSupervisor
  readonly port: number
  /** Of the server. */
  readonly args: readonly string[]
  /** Bytes the WebSockets have read, of which they are how many. */
  read(): Promise<{ bytes: number; clients: number }>
  /** Waits until the server has read so much. */
  hasRead(bytes: number): Promise<void>
  /** An upgrade that is refused by the last session, when all others are restored. */
  abortedUpgrade(...args: string[]): ReturnType<TestSupervisor['upgrade']>
  /** Lines of output that match. */
  lines(pattern: RegExp): string[]
}

export async function startWs(
  t: Teardown,
  args: readonly string[] = [],
  options: readonly string[] = [],
): Promise<WsStage> {
  const supervisor = startSupervisor(t, { command: ['node', WS_SERVER, ...args], options })
  const [, , , , port, control] = await supervisor.child.line(new RegExp(`${READY.source} control=(\\d+)`))
  let saboteur: Socket | undefined

  async function say(word: string): Promise<string> {
    if (saboteur === undefined) {
      saboteur = connect({ port: Number(control), host: '127.0.0.1' })
      saboteur.setEncoding('utf8')
      const { destroy } = saboteur
      t.teardown(() => destroy.call(saboteur))
    }
    saboteur.write(word)
    const [said] = (await within(once(saboteur, 'data'), `an answer to ${word}`)) as [string]
    return said.trim()
  }

  async function read() {
    const [bytes, clients] = (await say('read')).split(' ').map(Number)
    return { bytes: bytes as number, clients: clients as number }
  }

  return {
    supervisor,
    port: Number(port),
    args,
    read,
    hasRead: async (expected) => {
      let seen = 0
      let isAsking = false
      await until(
        () => {
          if (!isAsking && seen < expected) {
            isAsking = true
            void read().then(({ bytes }) => {
              seen = bytes
              isAsking = false
            })
          }
          return seen >= expected
        },
        () => `the server to read ${expected} bytes; it has read ${seen}`,
      )
      await until(() => !isAsking, 'the last answer')
    },
    abortedUpgrade: async (...rest) => {
      await say('on')
      const result = await supervisor.upgrade(...rest)
      await say('off')
      return result
    },
    lines: (pattern) => supervisor.child.lines.filter((line) => pattern.test(line)),
  }
}
