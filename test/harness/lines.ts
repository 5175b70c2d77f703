/** A client of a line protocol: says a line, gets a line. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Teardown } from './child.js'
import { within } from './timeout.js'

export interface LineClient {
  readonly socket: Socket
  /** Lines that came, in order. */
  readonly lines: AsyncIterableIterator<string>
}

export function lineOf(t: Teardown, port: number): LineClient {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  return { socket, lines: createInterface({ input: socket })[Symbol.asyncIterator]() }
}

/** Says `text` and resolves with the next line that comes. */
export async function ask(client: LineClient, text: string): Promise<string> {
  if (client.socket.connecting) await within(once(client.socket, 'connect'), 'the connection')
  client.socket.write(`${text}\n`)
  const { value, done } = await within(client.lines.next(), `an answer to ${JSON.stringify(text)}`)
  if (done) throw new Error(`the connection ended before an answer to ${JSON.stringify(text)}`)
  return value
}
