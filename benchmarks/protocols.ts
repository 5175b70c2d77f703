/** What clients say and expect back, byte for byte: an echo over TCP, and an answer over HTTP with keep-alive. */

export type ProtocolName = 'tcp' | 'http'

export interface Protocol {
  readonly request: Buffer
  /** Whether the reply is whole; throws when it can never become the right one. */
  isWhole(reply: Buffer): boolean
}

const MESSAGE = Buffer.from('handover handover handover 1234;')
export const BODY = Buffer.from('handover answers with sixty-four bytes, the same in every trial;')
const HEAD_END = '\r\n\r\n'

export const PROTOCOLS: Readonly<Record<ProtocolName, Protocol>> = {
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
}
