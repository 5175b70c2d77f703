/** Exchanges that between them hold every message of the transfer. */
import { SERVER } from './tapped.js'

export interface Scenario {
  readonly name: string
  /** What serves first, and what it is upgraded to. */
  readonly first: readonly string[]
  readonly upgrade: readonly string[]
  /** A client goes away while the first batch waits for its acknowledgement. */
  readonly leaves?: true
  /** Sessions follow after commit: all but so many, opened before the clients, which move in the freeze. */
  readonly sample?: number
}

/** With so much in each session there are more batches than may be under way at once: the exchange has a middle. */
const BALLAST = 400_000

export const PLAIN = [process.execPath, SERVER, '--ballast', String(BALLAST)]

const INDEPENDENT = [process.execPath, SERVER, '--independent']

export const SCENARIOS: readonly Scenario[] = [
  { name: 'all move', first: PLAIN, upgrade: PLAIN },
  { name: 'the successor refuses', first: PLAIN, upgrade: [...PLAIN, '--fault', 'restore'] },
  { name: 'the predecessor gives up', first: [...PLAIN, '--fault', 'capture', '--times', '1'], upgrade: PLAIN },
  { name: 'a client leaves', first: PLAIN, upgrade: PLAIN, leaves: true },
  { name: 'sessions follow', first: INDEPENDENT, upgrade: INDEPENDENT, sample: 16 },
]
