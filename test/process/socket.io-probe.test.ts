/** A polling client that changes to a WebSocket, and a new one, with an upgrade at each byte of it. */
import t from 'tap'
import { RawPolling } from '../harness/raw-polling.js'
import { frame, RawWebSocket, TEXT } from '../harness/raw-websocket.js'
import { Hall } from '../harness/socket.io.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(120_000))

const QUIET = {
  args: ['--io', JSON.stringify({ pingInterval: 600_000, pingTimeout: 600_000, upgradeTimeout: 600_000 })],
}
const pathOf = (sid?: string): string =>
  `/socket.io/?EIO=4&transport=websocket${sid === undefined ? '' : `&sid=${sid}`}`
const PROBE = frame(TEXT, '2probe')
const CHANGE = Buffer.concat([frame(TEXT, '5'), frame(TEXT, '421["echo","one"]')])
/** As RawWebSocket writes it: what is cut beyond the end is not cut. */
const REQUEST_BYTES = 260

/** All that is cut waits for one upgrade. */
class Turn {
  readonly #go: Promise<void>
  #waiting = 0
  go: () => void = () => undefined

  constructor() {
    this.#go = new Promise((resolve) => {
      this.go = resolve
    })
  }

  readonly until = (): Promise<void> => {
    this.#waiting++
    return this.#go
  }

  get waiting(): number {
    return this.#waiting
  }
}

/** @param wait called at the byte the exchange is cut at, once. */
async function change(port: number, at: number, turn: Turn): Promise<void> {
  const client = await RawPolling.open(port)
  const after = { request: at, probe: at - REQUEST_BYTES, change: at - REQUEST_BYTES - PROBE.length }
  const isCut = { request: after.probe <= 0, probe: after.probe > 0 && after.change <= 0, change: after.change > 0 }
  const webSocket = await RawWebSocket.open({
    port,
    path: pathOf(client.sid),
    ...(isCut.request ? { cut: { at, until: turn.until } } : {}),
  })
  const send = async (bytes: Buffer, cut: number | undefined): Promise<void> => {
    webSocket.send(bytes.subarray(0, cut))
    if (cut === undefined) return
    await turn.until()
    if (cut < bytes.length) webSocket.send(bytes.subarray(cut))
  }
  await send(PROBE, isCut.probe ? after.probe : undefined)
  await webSocket.gets(1)
  // It stops to poll when it has its answer: there is nothing to say.
  await client.poll()
  await send(CHANGE, isCut.change ? after.change : undefined)
  await webSocket.gets(2)
  const { texts } = webSocket
  if (texts.join() !== '3probe,431["one"]') throw new Error(`cut at ${at}: ${texts}`)
  if (webSocket.ended) throw new Error(`cut at ${at}: it has ended`)
  webSocket.socket.destroy()
}

async function enter(port: number, at: number, turn: Turn): Promise<void> {
  const webSocket = await RawWebSocket.open({ port, path: pathOf(), cut: { at, until: turn.until } })
  webSocket.send(frame(TEXT, '40'))
  await webSocket.gets(2)
  webSocket.send(frame(TEXT, '421["echo","one"]'))
  await webSocket.gets(3)
  if (!/^0\{.*\},40\{.*\},431\["one"\]$/.test(webSocket.texts.join()))
    throw new Error(`cut at ${at}: ${webSocket.texts}`)
  webSocket.socket.destroy()
}

for (const ending of ['aborted', 'committed'] as const) {
  t.test(`${ending} at each byte of a change of transport, and of a handshake`, async (t) => {
    const hall = await Hall.start(t, QUIET)
    const turn = new Turn()
    const work: Promise<void>[] = []
    const length = REQUEST_BYTES + PROBE.length + CHANGE.length
    for (let at = 0; at <= length; at++) work.push(change(hall.port, at, turn))
    for (let at = 0; at <= REQUEST_BYTES; at += 3) work.push(enter(hall.port, at, turn))
    const all = Promise.all(work)
    all.catch(() => undefined)
    await Promise.race([
      until(
        () => turn.waiting === work.length,
        () => `all to wait: ${turn.waiting}`,
      ),
      all,
    ])
    const guest = await hall.enter('websocket')
    await guest.ask('echo', 'read')
    const upgrading = ending === 'committed' ? hall.supervisor.upgrade() : hall.abortedUpgrade()
    if (ending === 'aborted') await upgrading
    else await hall.supervisor.child.line(/^ready release=1 generation=2/)
    turn.go()
    await all
    t.pass(`${work.length} clients went on`)
    const { json, lines } = (await upgrading) ?? {}
    if (ending === 'committed')
      t.match(json, { outcome: 'committed', sessions: { dropped: 0 } }, 'committed', { lines })
    t.same(guest.ends, [])
    t.equal((await hall.supervisor.stop()).exitCode, 0)
  })
}
