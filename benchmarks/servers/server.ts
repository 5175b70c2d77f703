/** What the servers of the benchmarks have in common. */
import type { AddressInfo, Server } from 'node:net'
import { join, type Runtime } from 'handover'
import { raiseDescriptorLimit } from '../descriptors.js'

/** `plain` without the library, `joined` with it, its connections drained, `moved` with the adapter. */
export type Mode = 'plain' | 'joined' | 'moved'

/**
 * Serves as `SERVER.js CONNECTIONS MODE` says, and says `started PID` when it has joined, and `port N`.
 * @param adapt declares what moves.
 */
export async function serve(server: Server, adapt: (runtime: Runtime) => void): Promise<void> {
  const [connections = '1000', mode = 'joined'] = process.argv.slice(2) as [string?, Mode?]
  raiseDescriptorLimit(Number(connections))
  endOnSignal()
  const say = (): void => console.log(`port ${(server.address() as AddressInfo).port}`)
  if (mode === 'plain') {
    server.listen({ port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1', backlog: 4096 }, say)
    return
  }
  const runtime = await join()
  console.log(`started ${process.pid}`)
  if (mode === 'moved') adapt(runtime)
  await runtime.listen(server, { name: 'bench', port: 0, host: '127.0.0.1', backlog: 4096 })
  await runtime.ready()
  say()
}

/** Idle clients are to stay for as long as a trial lasts. */
export const KEEP_ALIVE_MS = 600_000

/** By `exit`, not by the signal's default: only so is the profile of `--cpu-prof` written. */
export function endOnSignal(): void {
  process.once('SIGTERM', () => process.exit(0))
}
