/** A trial: a peer is reloaded under active and idle clients; what they notice, and when the old processes are gone. `peer.js PARAMS` */
import assert from 'node:assert/strict'
import { binding } from '../../src/sys/binding.js'
import { isRunning } from '../../test/harness/census.js'
import { startNode } from '../../test/harness/child.js'
import type { Counts } from '../peers/clients.js'
import { PEERS, type PeerName } from '../peers/peers.js'
import { RATE } from '../plan.js'
import { clockMs } from '../session.js'
import type { Latency } from '../talk.js'
import { orderOf, passed, runTrial, t } from './harness.js'

export interface PeerParams {
  peer: PeerName
  idle: number
  active: number
  observedMs: number
  goneWithinMs: number
}

export interface PeerTrial extends Counts {
  connections: number
  /** Milliseconds; null when they were still there after `goneWithinMs`. */
  goneMs: number | null
  before: Latency
  during: Latency
  /** Connections, old or made anew, that answered in the end. */
  answering: number
}

/** Descriptors a process needs beside its connections; generous. */
const OTHERS = 400
const AFTERMATH_MS = 500

await runTrial(async ({ peer: name, idle, active, observedMs, goneWithinMs }: PeerParams): Promise<PeerTrial> => {
  const peer = PEERS[name]
  // Who needs two descriptors for a connection gets fewer idle clients where the limit does not allow them.
  const most = Math.floor((binding().descriptorLimit().hard - OTHERS) / peer.descriptors)
  const connections = Math.min(idle + active, most)
  const running = await peer.start(t, connections)
  const clients = startNode(t, 'benchmarks/peers/clients.js')
  const order = orderOf(clients)
  assert.equal(await order('connect', peer.protocol, running.port, connections - active, active, RATE), connections)
  await passed(observedMs)
  const old = running.serving()
  assert.ok(old.length > 0 && old.every(isRunning))

  await order('begin')
  const beganAt = clockMs()
  const [goneMs] = await Promise.all([gone(old, beganAt, goneWithinMs), running.reload()])
  await passed(AFTERMATH_MS)
  const during = await order<Latency>('latency', beganAt, clockMs())
  const before = await order<Latency>('latency', beganAt - observedMs, beganAt)
  const answering = await order<number>('prove')
  const counts = await order<Counts>('counts')
  // It was replaced, and serves.
  assert.ok(running.serving().some((pid) => !old.includes(pid)))
  assert.ok(answering >= active && during.count > 0)
  return { connections, ...counts, goneMs, before, during, answering }
})

async function gone(pids: readonly number[], since: number, withinMs: number): Promise<number | null> {
  while (pids.some(isRunning)) {
    if (clockMs() - since > withinMs) return null
    await passed(5)
  }
  return clockMs() - since
}
