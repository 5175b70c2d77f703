/** Each peer under the same clients, as many trials as the plan has; one that is not there is a row with its reason. */
import { type Bench, reasonOf } from '../bench.js'
import type { ProtocolName } from '../protocols.js'
import { median, medianOf } from '../statistics.js'
import type { PeerParams, PeerTrial } from '../trials/peer.js'
import type { Peer } from './peer.js'
import { PEERS, type PeerName } from './peers.js'

interface Described {
  readonly name: PeerName
  readonly title: string
  readonly protocol: ProtocolName
  readonly replaces: Peer['replaces']
}

export interface PeerFigures extends Described {
  readonly connections: number
  readonly dropped: number
  readonly failed: number
  /** Worst latency of an active client, in milliseconds. */
  readonly before: number
  readonly during: number
  /** Null when in any trial the old process was still there after `goneWithinMs`. */
  readonly goneMs: number | null
  readonly goneWithinMs: number
}

export type PeerResult = PeerFigures | (Described & { readonly reason: string })

export async function measurePeers(bench: Bench): Promise<{ peers: PeerResult[]; failures: number }> {
  const peers: PeerResult[] = []
  let failures = 0
  for (const [name, peer] of Object.entries(PEERS) as [PeerName, Peer][]) {
    const { title, protocol, replaces } = peer
    const described: Described = { name, title, protocol, replaces }
    const reason = peer.unavailable()
    if (reason !== undefined) peers.push({ ...described, reason })
    else {
      try {
        peers.push({ ...described, ...(await measure(bench, name)) })
      } catch (error) {
        failures++
        process.stderr.write(`${(error as Error).stack}\n`)
        peers.push({ ...described, reason: `the trial failed: ${reasonOf(error)}` })
      }
    }
  }
  return { peers, failures }
}

async function measure(bench: Bench, peer: PeerName): Promise<Omit<PeerFigures, keyof Described>> {
  const { peers, observedMs } = bench.plan
  const trials = await bench.series<PeerTrial, PeerParams>('peer', { peer, observedMs, ...peers })
  const gone = trials.map(({ goneMs }) => goneMs)
  return {
    connections: trials[0]!.connections,
    dropped: medianOf(trials, ({ dropped }) => dropped),
    failed: medianOf(trials, ({ failed }) => failed),
    before: medianOf(trials, ({ before }) => before.max),
    during: medianOf(trials, ({ during }) => during.max),
    goneMs: gone.every((each) => each !== null) ? median(gone) : null,
    goneWithinMs: peers.goneWithinMs,
  }
}
