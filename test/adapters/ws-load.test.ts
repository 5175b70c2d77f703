/** WebSockets under load, numbered both ways, through upgrades in a row: with each way to compress, and none. */
import { once } from 'node:events'
import t from 'tap'
import WebSocket from 'ws'
import { scaled, until, within } from '../harness/timeout.js'
import { startWs } from '../harness/websocket.js'

t.setTimeout(scaled(110_000))

const CLIENTS = 40
const UPGRADES = 5
/** Messages of a client that are not answered yet. */
const WINDOW = 4

/** What is said repeats what was said before, some of it: a window that is lost, or a byte off, is found out. */
const message = (seed: number, number: number): string => {
  const word = `${seed}:${number % 7}:`.repeat(1 + ((seed * number) % 97))
  return `${number} ${word}${'lorem ipsum dolor '.repeat(number % 50)}`
}

class Talker {
  readonly #socket: WebSocket
  readonly #seed: number
  answered = 0
  #said = 0
  wrong: string | undefined
  isStopping = false

  constructor(socket: WebSocket, seed: number) {
    this.#socket = socket
    this.#seed = seed
    socket.on('message', (data) => this.#hear(String(data)))
    socket.on('close', (code) => (this.wrong ??= `closed with ${code} after ${this.answered}`))
    socket.on('error', (error) => (this.wrong ??= error.message))
  }

  static async open(port: number, seed: number, options: object): Promise<Talker> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/room/kitchen`, options)
    const talker = new Talker(socket, seed)
    await within(once(socket, 'open'), 'a WebSocket')
    for (let index = 0; index < WINDOW; index++) talker.#say()
    return talker
  }

  get isQuiet(): boolean {
    return this.answered === this.#said
  }

  close(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.close()
  }

  #say(): void {
    this.#said++
    const text = message(this.#seed, this.#said)
    // Every third as bytes, and in three fragments.
    const isBinary = this.#said % 3 === 0
    if (!isBinary) this.#socket.send(text)
    else {
      const bytes = Buffer.from(text)
      this.#socket.send(bytes.subarray(0, 2), { binary: true, fin: false })
      this.#socket.send(bytes.subarray(2, 5), { fin: false })
      this.#socket.send(bytes.subarray(5), { fin: true })
    }
  }

  #hear(text: string): void {
    this.answered++
    const expected = `${this.answered} ${message(this.#seed, this.answered)}`
    if (text !== expected)
      this.wrong ??= `answer ${this.answered} was ${text.slice(0, 100)} for ${expected.slice(0, 100)}`
    if (!this.isStopping && this.wrong === undefined) this.#say()
  }
}

const WAYS: Record<string, { server: readonly string[]; client: object }> = {
  'no compression': { server: ['--precopy', 'touch'], client: {} },
  'compression with context': {
    server: ['--deflate', 'takeover', '--precopy', 'touch'],
    client: { perMessageDeflate: { threshold: 0 } },
  },
  'compression with a small window': {
    server: ['--deflate', 'takeover'],
    client: { perMessageDeflate: { threshold: 0, clientMaxWindowBits: 9, serverMaxWindowBits: 10 } },
  },
  'compression without context, events in later turns': {
    server: ['--deflate', 'fresh', '--no-sync-events'],
    client: { perMessageDeflate: { threshold: 0 } },
  },
}

for (const [way, { server, client }] of Object.entries(WAYS)) {
  t.test(way, async (t) => {
    const stage = await startWs(t, server)
    const seeds = Array.from({ length: CLIENTS }, (_, seed) => seed)
    const talkers = await Promise.all(seeds.map((seed) => Talker.open(stage.port, seed, client)))
    const progress = async () => {
      const before = talkers.map(({ answered }) => answered)
      await until(
        () =>
          talkers.every(({ answered, wrong }, index) => wrong !== undefined || answered > before[index]! + 2 * WINDOW),
        'everybody to get answers',
      )
    }
    for (let upgrade = 1; upgrade <= UPGRADES; upgrade++) {
      await progress()
      if (upgrade === 2) t.match((await stage.abortedUpgrade()).json, { outcome: 'refused' })
      const { json } = await stage.supervisor.upgrade()
      t.match(json, { outcome: 'committed', sessions: { dropped: 0, refused: 0, drained: 0 } })
      const { moved } = json?.sessions ?? { moved: 0 }
      t.ok(moved >= CLIENTS, `${moved} moved, of them ${json?.followed.sessions} after commit`)
      t.same(
        talkers
          .map(({ wrong }) => wrong)
          .filter((wrong) => wrong !== undefined)
          .slice(0, 3),
        [],
      )
    }
    await progress()
    for (const talker of talkers) talker.isStopping = true
    await until(() => talkers.every(({ isQuiet, wrong }) => isQuiet || wrong !== undefined), 'the last answers')
    t.same(
      talkers
        .map(({ wrong }) => wrong)
        .filter((wrong) => wrong !== undefined)
        .slice(0, 3),
      [],
    )
    t.comment(`${talkers.reduce((sum, { answered }) => sum + answered, 0)} messages`)
    t.same(stage.lines(/^(closed|error) /), [])
    for (const talker of talkers) talker.close()
    await until(() => stage.lines(/^closed /).length === CLIENTS, 'the end of all')
    t.equal((await stage.supervisor.stop()).exitCode, 0)
  })
}
