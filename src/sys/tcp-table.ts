/** The kernel's table of TCP sockets, and who holds which: proc(5), net/tcp and PID/fd. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface TcpRow {
  readonly localPort: number
  readonly remotePort: number
  readonly isListening: boolean
  /** Of the socket; '0' while a connection waits to be accepted, and when nobody holds it any more. */
  readonly inode: string
}

const LISTENING = '0A'

/** Both families, of this network namespace. Throws the system's error. */
export function tcpTable(): TcpRow[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => {
    let table: string
    try {
      table = readFileSync(path, 'latin1')
    } catch (error) {
      // A kernel without IPv6.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
    return table.split('\n').slice(1).flatMap(rowOf)
  })
}

function rowOf(line: string): TcpRow[] {
  const [, local, remote, state, , , , , , inode] = line.trim().split(/\s+/)
  if (local === undefined || remote === undefined || inode === undefined) return []
  return [{ localPort: portOf(local), remotePort: portOf(remote), isListening: state === LISTENING, inode }]
}

const portOf = (address: string): number => Number.parseInt(address.slice(address.lastIndexOf(':') + 1), 16)

/** The sockets these processes hold; undefined when one of them lives and may not be looked at. */
export function socketsOf(pids: readonly number[]): Set<string> | undefined {
  const inodes = new Set<string>()
  for (const pid of pids) {
    let names: string[]
    try {
      names = readdirSync(`/proc/${pid}/fd`)
    } catch (error) {
      if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) continue
      return undefined
    }
    for (const name of names) {
      try {
        const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`)) ?? []
        if (inode !== undefined) inodes.add(inode)
      } catch {
        // Closed since.
      }
    }
  }
  return inodes
}

/** Connections on these local ports that these processes hold; undefined when they may not be looked at. Throws the system's error. */
export function connectionsOf(pids: readonly number[], ports: ReadonlySet<number>): number | undefined {
  const held = socketsOf(pids)
  if (held === undefined) return undefined
  return tcpTable().filter(
    ({ localPort, isListening, inode }) => !isListening && ports.has(localPort) && held.has(inode),
  ).length
}
