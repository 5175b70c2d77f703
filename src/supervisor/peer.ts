/** Who is at the other end of an admin socket: the kernel's word (SO_PEERCRED, unix(7)), not theirs. */
import type { Socket } from 'node:net'
import { binding } from '../sys/binding.js'
import { descriptorOf } from '../sys/node-internals.js'

export interface Peer {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

export function peerOf(socket: Socket): Peer | undefined {
  const descriptor = descriptorOf(socket)
  return descriptor === undefined ? undefined : binding().peerCredentials(descriptor)
}

/** May command this supervisor: root, and its own user. */
export const mayCommand = (peer: Peer | undefined): boolean =>
  peer !== undefined && (peer.uid === 0 || peer.uid === process.geteuid?.())

/**
 * May be taken for a supervisor: root's, or one's own. Root takes what is at the path it names: services have users of their own,
 * and whoever could bind there could write into root's folders.
 */
export const maySupervise = (peer: Peer | undefined): boolean => process.geteuid?.() === 0 || mayCommand(peer)
