/**
 * Is the new process there? Old and new accept from the same socket, so that an answer alone says nothing: it may be the
 * predecessor's. The kernel knows who has accepted a connection, and only one that is the program's own counts.
 */
import { connect, type Socket } from 'node:net'
import { nowMs } from '../sys/clock.js'
import { socketsOf, tcpTable } from '../sys/tcp-table.js'

export interface ProbeTarget {
  readonly host: string
  readonly port: number
  /** Host and port as they were written. */
  readonly authority: string
  /** To be asked for by HTTP; undefined: to accept is enough. */
  readonly path: string | undefined
}

/** Two processes that wait at one socket share what comes at once; of connections one by one the same may take each. */
const AT_ONCE = 4
/** How long a connection may take to be made, to be accepted, and to be answered. */
const WITHIN_MS = 5_000
/** Each look reads the kernel's whole table. */
const LOOK_EVERY_MS = 20
/** Longest head of an answer. */
const MAX_HEAD = 8_192

/** True when one of these processes has accepted, and answered with a status of 200 to 399 where it was asked. */
export async function probe(target: ProbeTarget, family: () => number[]): Promise<boolean> {
  const sockets = Array.from({ length: AT_ONCE }, () => open(target))
  try {
    await Promise.all(sockets.map(isConnected))
    const accepted = await acceptedBy(sockets, target.port, family)
    if (target.path === undefined) return accepted.length > 0
    const statuses = await Promise.all(accepted.map((socket) => statusOf(socket, target)))
    return statuses.some(isWell)
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/** What is wrong with each of so many connections; undefined of one that was accepted, and answered where it was asked. */
export async function answers(target: ProbeTarget, count: number): Promise<(string | undefined)[]> {
  const where = `${target.authority}${target.path ?? ''}`
  const sockets = Array.from({ length: count }, () => open(target))
  try {
    await Promise.all(sockets.map(isConnected))
    return await Promise.all(
      sockets.map(async (socket) => {
        if (socket.destroyed) return `no connection to ${where}`
        if (target.path === undefined) return undefined
        const status = await statusOf(socket, target)
        return isWell(status) ? undefined : `${where} ${status === undefined ? 'gave no answer' : `answered ${status}`}`
      }),
    )
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

function open({ host, port }: ProbeTarget): Socket {
  const socket = connect({ host, port })
  socket.setTimeout(WITHIN_MS, () => socket.destroy())
  // Its 'close' follows.
  socket.on('error', () => undefined)
  return socket
}

const isConnected = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once('connect', () => resolve()).once('close', () => resolve()))

/** Waits until each has been accepted by somebody; those that these processes have accepted. */
async function acceptedBy(sockets: readonly Socket[], port: number, family: () => number[]): Promise<Socket[]> {
  const untilMs = nowMs() + WITHIN_MS
  const inodes = new Map<Socket, string>()
  let waiting = sockets.filter(({ destroyed }) => !destroyed)
  while (waiting.length > 0 && nowMs() < untilMs) {
    const table = tcpTable().filter(({ localPort }) => localPort === port)
    waiting = waiting.filter((socket) => {
      const inode = table.find(({ remotePort }) => remotePort === socket.localPort)?.inode
      // Until it is accepted no process holds it.
      if (inode === '0') return true
      if (inode !== undefined) inodes.set(socket, inode)
      return false
    })
    // The others may be in the backlog for as long as nobody comes: one that is ours is enough.
    const held = inodes.size > 0 ? socketsOf(family()) : undefined
    const ours = [...inodes].filter(([, inode]) => held?.has(inode)).map(([socket]) => socket)
    if (ours.length > 0) return ours
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
  return []
}

const isWell = (status: string | undefined): boolean => status !== undefined && status >= '200' && status < '400'

/** Undefined when there is none. */
function statusOf(socket: Socket, { authority, path }: ProbeTarget): Promise<string | undefined> {
  return new Promise((resolve) => {
    let head = ''
    socket.setEncoding('latin1')
    socket.once('close', () => resolve(undefined))
    socket.on('data', (text: unknown) => {
      head += String(text)
      const [, status] = /^HTTP\/1\.[01] (\d{3})[ \r\n]/.exec(head) ?? []
      if (status !== undefined || head.length > MAX_HEAD) resolve(status)
    })
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: handover\r\nConnection: close\r\n\r\n`)
  })
}
