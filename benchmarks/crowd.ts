/**
 * The other ends, which must notice nothing: a connection that closes, or a byte that is wrong, ends the trial. Orders come by
 * stdin, each answered by a line `answer JSON`:
 *   `connect PROTOCOL PORT COUNT ACTIVE RATE`   one more group of connections
 *   `latency FROM TO`                           of the questions open between two instants
 *   `prove`                                     every connection gets an answer; how many
 *   `flood GROUP MS`                            answers a second of that group, one question outstanding on each
 *   `leave GROUP`                               closes the connections of that group
 *   `end`
 */
import { createInterface } from 'node:readline'
import { askEach, Client, openSockets } from './client.js'
import { raiseDescriptorLimit } from './descriptors.js'
import type { WireName } from './protocols.js'
import { clockMs } from './session.js'
import { Latencies, talk } from './talk.js'

interface Group {
  active: Client[]
  idle: Client[]
}

const groups: Group[] = []
const latencies = new Latencies()
const allClients = (): Client[] => groups.flatMap(({ active, idle }) => [...active, ...idle])

function fail(reason: string): never {
  console.log(`cut ${reason}`)
  process.exit(1)
}

async function open(protocol: WireName, port: number, count: number, active: number, rate: number): Promise<number> {
  raiseDescriptorLimit(allClients().length + count)
  const clients = (await openSockets(port, count)).map((socket) => {
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => fail('a connection was closed'))
    return new Client(socket, protocol, fail)
  })
  await Promise.all(clients.map((client) => client.greet()))
  groups.push({ active: clients.slice(0, active), idle: clients.slice(active) })
  for (const client of clients.slice(0, active)) talk(client, 1000 / rate, latencies)
  return count
}

/** Idle ones are asked; of each active one an answer to what it asks anyway is the proof, if it asked after now. */
async function prove(): Promise<number> {
  const active = groups.flatMap((group) => group.active)
  const before = active.map(({ answers }) => answers)
  await askEach(groups.flatMap(({ idle }) => idle))
  // The first of two may have been asked before.
  while (active.some(({ answers }, index) => answers < before[index]! + 2)) await turn()
  return allClients().length
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10))

function leave(group: Group): number {
  const clients = [...group.active.splice(0), ...group.idle.splice(0)]
  for (const { socket } of clients) socket.removeAllListeners('close').destroy()
  return clients.length
}

async function flood(group: number, ms: number): Promise<number> {
  let answers = 0
  let isOver = false
  const { idle } = groups[group]!
  const ended = idle.map(
    (client) =>
      new Promise<void>((resolve) => {
        const again = (): void => {
          if (isOver) resolve()
          else {
            answers++
            client.ask(again)
          }
        }
        client.ask(again)
      }),
  )
  const beganAt = clockMs()
  await new Promise((resolve) => setTimeout(resolve, ms))
  const rate = (answers / (clockMs() - beganAt)) * 1000
  isOver = true
  await Promise.all(ended)
  return rate
}

const ORDERS: { [verb: string]: (...words: string[]) => unknown } = {
  connect: (protocol, ...numbers) => {
    const [port = 0, count = 0, active = 0, rate = 1] = numbers.map(Number)
    return open(protocol as WireName, port, count, active, rate)
  },
  latency: (from, to) => latencies.between(Number(from), Number(to)),
  prove,
  leave: (group) => leave(groups[Number(group)]!),
  flood: (group, ms) => flood(Number(group), Number(ms)),
}

for await (const line of createInterface(process.stdin)) {
  const [verb = '', ...words] = line.split(' ')
  const order = ORDERS[verb]
  if (order === undefined) break
  console.log(`answer ${JSON.stringify(await order(...words))}`)
}
// Reset instead of closed: 10,000 ports must not wait out TIME_WAIT before the next trial.
for (const { socket } of allClients()) socket.removeAllListeners('close').resetAndDestroy()
process.exit()
