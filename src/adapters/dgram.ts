/**
 * UDP. The supervisor binds the socket and keeps it for all generations, as it keeps listeners: what the kernel has of it, queued
 * datagrams, options, groups and a peer, is never given up. See docs/dgram.md.
 */
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { HandoverError, messageOf } from '../errors.js'
import { type Endpoint, hostOf } from '../runtime/adapter.js'
import type { Runtime } from '../runtime/types.js'
import { nowMs } from '../sys/clock.js'
import {
  bindHeld,
  canHoldDatagrams,
  datagramOptionsOf,
  type HeldDatagrams,
  isDatagramSocketBound,
  isDatagramSocketClosed,
  stopReceiving,
} from '../sys/node-internals.js'
import { HeldCalls } from './dgram/held-calls.js'
import { inheritMemberships, inheritPeer } from './dgram/inherited.js'

export interface DatagramOptions {
  /** Names the socket: the same name gets the same socket of the kernel in every generation. No listener may have it. */
  readonly name: string
  /** 0 lets the kernel choose; the choice stays for all generations. */
  readonly port: number
  /** An address or a host name. Default: all addresses of the socket's family, and of IPv4 for udp6 without `ipv6Only`. */
  readonly host?: string
}

/** How often it is looked whether all that was sent is out. */
const LOOK_MS = 5

/**
 * Binds a socket of `dgram.createSocket`. It receives from the instant on at which this process serves, and nothing after it has handed over; until
 * then `address()` answers, and what is sent or set waits. `reuseAddr`, `reusePort` and `ipv6Only` are those of `createSocket`.
 * Call it before `ready`.
 * @throws HandoverError HANDOVER_LISTEN_REFUSED when the address cannot be had, HANDOVER_USAGE when the socket is bound or closed.
 */
export async function dgram(runtime: Runtime, socket: Socket, options: DatagramOptions): Promise<void> {
  const host = hostOf(runtime)
  const { name, port, host: address } = options
  if (isDatagramSocketClosed(socket) || isDatagramSocketBound(socket))
    throw new HandoverError(
      'HANDOVER_USAGE',
      `UDP socket "${name}": it is ${isDatagramSocketClosed(socket) ? 'closed' : 'bound'} already: dgram() binds it`,
    )
  const type = typeOf(socket)
  const asked = { name, type, host: address ?? null, port, backlog: 0, ...datagramOptionsOf(socket) }
  const isKept = await host.keepSocket(asked, (descriptor) => hold(socket, descriptor))
  if (isKept) return
  await refusing(name, async () => {
    const listening = once(socket, 'listening')
    socket.bind({ port, exclusive: true, ...(address === undefined ? {} : { address }) })
    await listening
  })
}

async function refusing(name: string, bind: () => Promise<unknown>): Promise<void> {
  try {
    await bind()
  } catch (cause) {
    throw new HandoverError('HANDOVER_LISTEN_REFUSED', `UDP socket "${name}": ${messageOf(cause)}`, { cause })
  }
}

function hold(socket: Socket, descriptor: number): Endpoint {
  const calls = new HeldCalls(socket)
  let held: HeldDatagrams
  try {
    // Without the private door it is bound when it may receive; until then it has no address().
    held = canHoldDatagrams()
      ? bindHeld(socket, descriptor)
      : { isConnected: false, release: () => void socket.bind({ fd: descriptor, exclusive: true }) }
  } catch (error) {
    calls.release()
    throw error
  }
  return {
    get port() {
      try {
        return socket.address().port
      } catch {
        return 0
      }
    },
    activate() {
      calls.release()
      if (isDatagramSocketClosed(socket)) return
      inheritMemberships(socket)
      if (held.isConnected) inheritPeer(socket)
      held.release()
      calls.run()
    },
    retire: () => stopReceiving(socket),
    flush: (withinMs) => untilSent(socket, withinMs),
  }
}

/**
 * A datagram waits in Node's queue only while the kernel has no room, and before that for the address of its peer: for that of a
 * name as long as a lookup takes, for a number until the loop has turned.
 */
async function untilSent(socket: Socket, withinMs: number): Promise<void> {
  const untilMs = nowMs() + withinMs
  await new Promise((resolve) => setImmediate(resolve))
  const isSending = () =>
    socket.getSendQueueCount() > 0 || process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap')
  while (!isDatagramSocketClosed(socket) && isSending() && nowMs() < untilMs)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
}

function typeOf(socket: Socket): 'udp4' | 'udp6' {
  const { type } = socket as unknown as { type: unknown }
  if (type === 'udp4' || type === 'udp6') return type
  throw new HandoverError('HANDOVER_USAGE', 'dgram() takes a socket of dgram.createSocket()')
}
