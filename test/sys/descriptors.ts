/** Which descriptors this process has open, and channels to send strange things through. */
import { readdirSync } from 'node:fs'
import { binding } from '../../src/sys/binding.js'
import type { Teardown } from '../harness/child.js'

export const openDescriptors = (): number => readdirSync('/proc/self/fd').length

/** Closed at the end of the test, unless that has happened by then. */
export function closedAfter(t: Teardown, fd: number): number {
  const inode = inodeOf(fd)
  t.teardown(() => {
    // The number may be another file's by now.
    if (inodeOf(fd) === inode) binding().close(fd)
  })
  return fd
}

/** A SEQPACKET pair. */
export function pair(t: Teardown): [number, number] {
  const [left, right] = binding().socketpair()
  return [closedAfter(t, left), closedAfter(t, right)]
}

function inodeOf(fd: number): bigint | undefined {
  try {
    return binding().socketCookie(fd)
  } catch {
    return undefined
  }
}

/** Fills a socket until it takes no more; returns how many messages went. */
export function fill(fd: number, message: Uint8Array = Buffer.alloc(1000)): number {
  let sent = 0
  while (binding().send(fd, message, [])) sent++
  return sent
}
