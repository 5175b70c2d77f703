/**
 * What clients say and expect back, byte for byte: an echo over TCP, an answer over HTTP with keep-alive, an echo over
 * WebSocket, an acknowledged event of Socket.IO over WebSocket.
 */
import { frameEnd, textFrame, UPGRADE } from './frames.js'

export type ProtocolName = 'tcp' | 'http'
export type WireName = ProtocolName | 'ws' | 'socket.io'

export interface Exchange {
  readonly request: Buffer
  /** Whether the reply is whole; throws when it can never become the right one. */
  isWhole(reply: Buffer): boolean
}

export interface Protocol extends Exchange {
  /** What comes before the first question, in order. */
  readonly greetings?: readonly Exchange[]
}

const MESSAGE = Buffer.from('handover handover handover 1234;')
export const BODY = Buffer.from('handover answers with sixty-four bytes, the same in every trial;')
const HEAD_END = '\r\n\r\n'

/** Where the head of a 101 ends; -1 while it has not. */
function switched(reply: Buffer): number {
  const head = reply.indexOf(HEAD_END)
  if (head !== -1 && reply.toString('latin1', 9, 12) !== '101')
    throw new Error(`answered ${reply.toString('latin1', 0, 40)}`)
  return head === -1 ? -1 : head + HEAD_END.length
}

/** One frame of the server's, with exactly this text. */
function frameOf(text: string): (reply: Buffer) => boolean {
  const right = textFrame(text)
  return (reply) => {
    if (!right.subarray(0, reply.length).equals(reply))
      throw new Error(`a wrong frame: ${JSON.stringify(reply.toString('latin1'))}`)
    return reply.length === right.length
  }
}

const WORDS = MESSAGE.toString()

export const PROTOCOLS: Readonly<Record<WireName, Protocol>> = {
  tcp: {
    request: MESSAGE,
    isWhole(reply) {
      const isRight = reply.length === MESSAGE.length ? reply.equals(MESSAGE) : MESSAGE.indexOf(reply) === 0
      if (!isRight) throw new Error(`a byte was lost, doubled or wrong: ${JSON.stringify(reply.toString('latin1'))}`)
      return reply.length === MESSAGE.length
    },
  },
  http: {
    request: Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    isWhole(reply) {
      const head = reply.indexOf(HEAD_END)
      if (head === -1) return false
      if (reply.toString('latin1', 9, 12) !== '200') throw new Error(`answered ${reply.toString('latin1', 0, 40)}`)
      const body = reply.subarray(head + HEAD_END.length)
      if (body.length < BODY.length) return false
      if (!body.equals(BODY)) throw new Error(`a wrong body: ${JSON.stringify(body.toString('latin1'))}`)
      return true
    },
  },
  ws: {
    greetings: [{ request: Buffer.from(UPGRADE('/')), isWhole: (reply) => switched(reply) === reply.length }],
    request: textFrame(WORDS, true),
    isWhole: frameOf(WORDS),
  },
  'socket.io': {
    greetings: [
      {
        request: Buffer.from(UPGRADE('/socket.io/?EIO=4&transport=websocket')),
        // The server speaks first: the session id of the transport.
        isWhole: (reply) => switched(reply) !== -1 && frameEnd(reply, switched(reply)) === reply.length,
      },
      { request: textFrame('40', true), isWhole: (reply) => frameEnd(reply, 0) === reply.length },
    ],
    request: textFrame(`420["say","${WORDS}"]`, true),
    isWhole: frameOf(`430["${WORDS}"]`),
  },
}
