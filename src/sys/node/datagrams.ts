/** A UDP socket on an inherited descriptor that does not receive yet. */
import dgram from 'node:dgram'
import { binding } from '../binding.js'
import { fieldsOf, symbolOf } from './private.js'

interface UdpHandle {
  readonly fd: number
  recvStart(): number
  recvStop(): number
  getpeername(into: object): number
}

/** What lib/dgram.js keeps of a socket, under a symbol of its own. */
interface State {
  handle: UdpHandle | null
  receiving: boolean
  bindState: number
  connectState: number
  readonly reuseAddr?: boolean | undefined
  readonly reusePort?: boolean | undefined
  readonly ipv6Only?: boolean | undefined
  recvBufferSize?: number | undefined
  sendBufferSize?: number | undefined
}

const UNBOUND = 0
const CONNECTED = 2

/** What createSocket() was told that the kernel has to know at bind(2). */
export interface DatagramOptions {
  readonly reuseAddr: boolean
  readonly reusePort: boolean
  readonly ipv6Only: boolean
}

function stateOf(socket: dgram.Socket): State | undefined {
  const symbol = symbolOf(socket, 'state symbol')
  return symbol === undefined ? undefined : (fieldsOf(socket)[symbol] as State)
}

let tested: boolean | undefined

/** Whether this Node has all that is needed; else a socket is bound when it may receive. */
export function canHoldDatagrams(): boolean {
  tested ??= selfTest()
  return tested
}

function selfTest(): boolean {
  const socket = dgram.createSocket({ type: 'udp4', reuseAddr: true, ipv6Only: true })
  try {
    const state = stateOf(socket)
    const handle = state?.handle
    for (const method of ['recvStart', 'recvStop', 'getpeername'] as const)
      if (typeof handle?.[method] !== 'function') return false
    return (
      state?.bindState === UNBOUND &&
      state.connectState === 0 &&
      state.receiving === false &&
      state.reuseAddr === true &&
      state.ipv6Only === true
    )
  } catch {
    return false
  } finally {
    socket.close()
  }
}

export function datagramOptionsOf(socket: dgram.Socket): DatagramOptions {
  const { reuseAddr, reusePort, ipv6Only } = stateOf(socket) ?? {}
  return { reuseAddr: reuseAddr === true, reusePort: reusePort === true, ipv6Only: ipv6Only === true }
}

export const isDatagramSocketBound = (socket: dgram.Socket): boolean =>
  (stateOf(socket)?.bindState ?? UNBOUND) !== UNBOUND

/** It has been closed: nothing can be done with it any more. */
export const isDatagramSocketClosed = (socket: dgram.Socket): boolean => stateOf(socket)?.handle === null

export interface HeldDatagrams {
  /** The kernel's socket is connected to one peer: another process has done that. */
  readonly isConnected: boolean
  /** From now on it receives. */
  release(): void
}

/**
 * Binds it to an inherited descriptor, which it owns from now on, also when it throws: 'listening' is emitted and address()
 * answers, and nothing is received before `release`.
 */
export function bindHeld(socket: dgram.Socket, descriptor: number): HeldDatagrams {
  const state = stateOf(socket) as State
  const { recvBufferSize, sendBufferSize } = state
  const handle = state.handle as UdpHandle
  // They are set at once by bind(), for the process that serves as well: that is for `release`.
  state.recvBufferSize = undefined
  state.sendBufferSize = undefined
  try {
    const wasReusable = binding().reuseAddress(descriptor)
    try {
      socket.bind({ fd: descriptor, exclusive: true })
    } finally {
      // Node has begun to receive, but the loop has not turned since.
      if (handle.fd === descriptor) {
        handle.recvStop()
        state.receiving = false
        // libuv sets it on every socket that it opens so: another program could bind the same port.
        binding().setReuseAddress(descriptor, wasReusable)
      }
    }
  } catch (error) {
    if (handle.fd !== descriptor) binding().close(descriptor)
    throw error
  }
  const isConnected = handle.getpeername({}) === 0
  if (isConnected) state.connectState = CONNECTED
  return {
    isConnected,
    release() {
      const errno = handle.recvStart()
      if (errno !== 0) throw new Error(`the UDP socket cannot receive: errno ${-errno}`)
      state.receiving = true
      if (recvBufferSize) socket.setRecvBufferSize(recvBufferSize)
      if (sendBufferSize) socket.setSendBufferSize(sendBufferSize)
    },
  }
}

/** Receives nothing any more; what is sent still goes out. Without a way to do that it is closed. */
export function stopReceiving(socket: dgram.Socket): void {
  const state = stateOf(socket)
  if (state?.handle === null) return
  if (state === undefined || !canHoldDatagrams()) {
    socket.close()
    return
  }
  state.handle.recvStop()
  state.receiving = false
}
