/** What the kernel's socket has from the processes before this one: groups it has joined, and a peer. */
import type dgram from 'node:dgram'
import { type LookupOptions, lookup } from 'node:dns'
import { isDatagramSocketClosed } from '../../sys/node-internals.js'
import { type Call, methodsOf, put } from './held-calls.js'

/** With what the kernel says that the membership is there: ip(7), and for one source ip_mc_source() of net/ipv4/igmp.c. */
const MEMBERSHIPS = [
  ['addMembership', 'dropMembership', 'EADDRINUSE'],
  ['addSourceSpecificMembership', 'dropSourceSpecificMembership', 'EADDRNOTAVAIL'],
] as const

/**
 * Who joins a group the socket is in already, since an earlier process has joined it, is told nothing. Who joins twice is
 * told, as by any socket.
 */
export function inheritMemberships(socket: dgram.Socket): void {
  for (const [add, drop, thereAlready] of MEMBERSHIPS) {
    const joined = new Set<string>()
    const [join, leave] = [methodsOf(socket)[add] as Call, methodsOf(socket)[drop] as Call]
    put(socket, add, (...args: never[]) => {
      const group = JSON.stringify(args)
      try {
        join.apply(socket, args)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== thereAlready || joined.has(group)) throw error
      }
      joined.add(group)
    })
    put(socket, drop, (...args: never[]) => {
      leave.apply(socket, args)
      joined.delete(JSON.stringify(args))
    })
  }
}

/**
 * The first connect() to the peer the socket has already succeeds as it is: nothing of another peer's can come in between.
 * To another peer it leaves the old one first.
 */
export function inheritPeer(socket: dgram.Socket): void {
  const connect = methodsOf(socket)['connect'] as Call
  const again = (port: number, ...rest: unknown[]): void => {
    if (methodsOf(socket)['connect'] === again) Reflect.deleteProperty(socket, 'connect')
    const callback = rest.find((word): word is (error?: Error) => void => typeof word === 'function')
    const host = typeof rest[0] === 'string' && rest[0] !== '' ? rest[0] : undefined
    const options: LookupOptions = { family: methodsOf(socket)['type'] === ('udp4' as never) ? 4 : 6 }
    lookup(host ?? (options.family === 4 ? '127.0.0.1' : '::1'), options, (error, address) => {
      if (isDatagramSocketClosed(socket)) return
      if (error !== null) {
        if (callback === undefined) socket.emit('error', error)
        else callback(error)
        return
      }
      const peer = peerOf(socket)
      if (peer?.address === address && peer.port === port) {
        if (callback !== undefined) socket.once('connect', callback)
        socket.emit('connect')
        return
      }
      if (peer !== undefined) socket.disconnect()
      connect.apply(socket, [port, address, ...(callback === undefined ? [] : [callback])] as never[])
    })
  }
  put(socket, 'connect', again as Call)
}

function peerOf(socket: dgram.Socket): { address: string; port: number } | undefined {
  try {
    return socket.remoteAddress()
  } catch {
    return undefined
  }
}
