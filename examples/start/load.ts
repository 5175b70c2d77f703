/** A process full of chat clients. Its parent says what to do, one word at a time; see `Order` and `Answer`. */
import { ChatClient, type Findings, noFindings } from './client.js'
import { type Latencies, noLatencies } from './latency.js'
import { type Connects, Prober } from './prober.js'

const ROOM_SIZE = 10
/** Each client says a line that often. */
const TALK_EVERY_MS = 250
const SLICES = 50
const GIVE_UP_AFTER_MS = 10_000

export type Order =
  | { order: 'enter'; port: number; firstClient: number; clients: number }
  | { order: 'talk' }
  /** From now on latencies belong to this period. */
  | { order: 'period'; period: string }
  /** Stop talking, wait for what is on its way, and report. */
  | { order: 'finish' }

export type Answer = { answer: 'entered' } | ({ answer: 'report' } & LoadReport)

export interface LoadReport {
  findings: Findings
  connects: Connects
  latencies: Record<string, Latencies>
  linesSaid: number
}

const findings = noFindings()
const latencies: Record<string, Latencies> = {}
const clients = new Map<number, ChatClient>()
let current = noLatencies()
let prober: Prober | undefined
let talking: NodeJS.Timeout | undefined

async function enter(port: number, firstClient: number, count: number): Promise<void> {
  for (let id = firstClient; id < firstClient + count; id += ROOM_SIZE) {
    const room = Array.from({ length: Math.min(ROOM_SIZE, firstClient + count - id) }, (_, index) => id + index)
    await Promise.all(
      room.map((member) => {
        const client = new ChatClient(member, port, findings, () => current)
        clients.set(member, client)
        return client.enter(
          `room-${id}`,
          room.filter((other) => other !== member),
        )
      }),
    )
  }
  prober = new Prober(port)
}

/** The clients take turns in slices, so that the load is even; each keeps its pace whether or not it is answered. */
function talk(): void {
  const all = [...clients.values()]
  let slice = 0
  talking = setInterval(() => {
    for (let index = slice; index < all.length; index += SLICES) all[index]!.talk()
    slice = (slice + 1) % SLICES
  }, TALK_EVERY_MS / SLICES)
  prober?.start()
}

async function finish(): Promise<LoadReport> {
  clearInterval(talking)
  await prober?.stop()
  const sentBy = (id: number): number => clients.get(id)!.sent
  const giveUpAt = performance.now() + GIVE_UP_AFTER_MS
  for (const client of clients.values()) {
    while (!client.isComplete(sentBy) && performance.now() < giveUpAt) await new Promise(setImmediate)
  }
  for (const client of clients.values()) client.finish(sentBy)
  const linesSaid = [...clients.values()].reduce((sum, client) => sum + client.sent, 0)
  return { findings, connects: prober!.connects, latencies, linesSaid }
}

const answer = (message: Answer, sent?: () => void): unknown => process.send!(message, undefined, undefined, sent)

// Ctrl-C reaches every process of the terminal; the parent ends this one in order, or by its own end.
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit(1))
process.on('message', async (message: Order) => {
  switch (message.order) {
    case 'enter':
      await enter(message.port, message.firstClient, message.clients)
      answer({ answer: 'entered' })
      break
    case 'talk':
      talk()
      break
    case 'period':
      current = latencies[message.period] ??= noLatencies()
      break
    case 'finish':
      answer({ answer: 'report', ...(await finish()) }, () => process.exit(0))
  }
})
