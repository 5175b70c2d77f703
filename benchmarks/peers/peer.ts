/** What a peer is to the trial: something that serves on a port, and whose old processes are replaced on an order. */
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Teardown } from '../../test/harness/child.js'
import { until } from '../../test/harness/timeout.js'
import type { ProtocolName } from '../protocols.js'

/** Where what does not end by itself is ended: the bound each peer's users would set, the same for all that have one. */
export const DRAIN_MS = 5_000

export interface Running {
  readonly port: number
  /** Processes that serve new connections, now. */
  serving(): number[]
  reload(): Promise<void>
}

export interface Peer {
  readonly title: string
  readonly protocol: ProtocolName
  /** A proxy in front can be replaced without the server behind it; the server is what holds the state. */
  readonly replaces: 'server' | 'proxy'
  /** Descriptors of one process for each connection. */
  readonly descriptors: 1 | 2
  /** Why it cannot be run here; undefined when it can. */
  unavailable(): string | undefined
  start(t: Teardown, connections: number): Promise<Running>
}

/** The path of a program: daemons are not always in the PATH of who may run them. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export function temporaryFolder(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'handover-bench-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A port the kernel chose, free a moment ago: for programs that must be told one. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1' }, resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export async function accepts(port: number): Promise<void> {
  let isAccepted = false
  const knock = (): void => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      isAccepted = true
      socket.destroy()
    })
    socket.once('error', () => setTimeout(knock, 20))
  }
  knock()
  await until(() => isAccepted, `a listener on port ${port}`)
}
