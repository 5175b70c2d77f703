/** Valid fields of every message, at their edges: by table and kind. A test holds this complete. */
import type { SessionRecord } from '../../src/wire/session-record.js'

type Fields = Record<string, unknown>

const protocol = { min: 1, max: 3 }
const reasons = [
  { reason: 'plain', count: 0 },
  { reason: 'x'.repeat(4096), count: 5, kind: 'chat', version: 2 },
]
const phases = [{ phase: 'vote', durationMs: 0.25 }]
const pauseMs = { p50: 0, p99: 1.5, max: 2 }
const record: SessionRecord = [
  1,
  0,
  Buffer.from('state'),
  0xffffffff,
  { unread: Buffer.from(''), peer: null, any: [1, 'x'] },
]

export const EXAMPLES: Record<string, Record<string, Fields[]>> = {
  CONTROL: {
    hello: [{ protocol, pid: 1, node: '24.1.0', release: 'r'.repeat(128) }],
    welcome: [
      { protocol: 1, generation: 1, role: 'first' },
      { protocol: 1, generation: 99, role: 'successor' },
    ],
    listen: [
      { request: 0, name: 'chat', host: null, port: 0, backlog: 511 },
      { request: 1, name: 'chat', host: '::1', port: 65_535, backlog: 0 },
    ],
    listening: [{ request: 1 }],
    unavailable: [{ request: 1, reason: 'EADDRINUSE' }],
    ready: [
      { sessions: [], states: [] },
      { sessions: [{ name: 'chat', reads: [2, 1] }], states: [{ name: 'rooms', reads: [] }] },
    ],
    activate: [{}],
    retire: [
      { drainMs: 0, policy: 'all-or-nothing', untilMs: 1.5 },
      { drainMs: 30_000, policy: 'best-effort', untilMs: 1e9 },
    ],
    transfer: [
      { side: 'predecessor', checkMs: 1, freezeMs: 0.5, drainMs: 0 },
      { side: 'successor', checkMs: 1, freezeMs: 1, drainMs: 1 },
    ],
    group: [{ group: 7 }],
    settled: [{ group: 7 }],
    freeze: [{ group: 7 }],
    voted: [{ group: 7 }],
    give: [
      { side: 'giver', give: 1, checkMs: 1, freezeMs: 0.5, drainMs: 0 },
      { side: 'taker', give: 0, checkMs: 1, freezeMs: 1, drainMs: 1 },
    ],
    given: [
      { give: 1, sessions: 0, pauseMs: null, reasons },
      { give: 1, sessions: 9, pauseMs, reasons: [] },
    ],
    active: [
      { sessions: 0, pauseMs: null, listeners: [] },
      { sessions: 1, pauseMs, listeners: [{ name: 'chat', cookie: '18446744073709551615', port: 4000 }] },
    ],
    committed: [{ moved: 3, phases }],
    aborted: [
      { side: 'predecessor', outcome: 'refused', reasons, phases, pauseMs },
      { side: 'successor', outcome: 'failed', reasons: [], phases: [], pauseMs: null },
    ],
    drained: [{ drained: 1, dropped: 2, reasons }],
    unpack: [{ last: false }],
    unpacked: [{ sessions: 3, states: 1, reasons }],
    pack: [{}],
    packed: [{ sessions: 2048, last: true }],
    ask: [{ request: 7 }],
    status: [{ request: 7, sessions: [{ name: 'chat', count: 10_000 }], unregistered: 0 }],
    kept: [{ name: 'chat', host: null, port: 0, backlog: 511 }],
    rejoined: [
      { generation: 1, phase: 'waiting', transfers: true, states: [], listeners: [] },
      {
        generation: 99,
        phase: 'draining',
        transfers: false,
        states: [{ name: 'rooms', reads: [1] }],
        listeners: [{ name: 'chat', cookie: '1', port: 80 }],
      },
    ],
  },
  TRANSFER: {
    offer: [
      { protocol, sessions: [], states: [], descriptors: 0 },
      {
        protocol,
        sessions: [{ name: 'chat', writes: [2, 1], sessions: 5 }],
        states: [{ name: 'rooms', writes: [1], sessions: 0 }],
        descriptors: 5,
      },
      { protocol, sessions: [], states: [{ name: 'tls', writes: [1], sessions: 0, optional: true }], descriptors: 0 },
    ],
    accept: [
      { protocol: 1, sessions: [{ name: 'chat', version: 1 }], states: [{ name: 'rooms', version: 1 }] },
      { protocol: 1, sessions: [{ name: 'chat', version: 1, early: true }], states: [] },
    ],
    refuse: [{ reasons }],
    state: [{ name: 'rooms', bytes: Buffer.from([0xa0]), checksum: 0 }],
    batch: [
      { index: 0, sessions: [record] },
      { index: 9, sessions: Array.from({ length: 128 }, () => record) },
    ],
    received: [{ index: 0 }],
    update: [
      {
        index: 1,
        changes: [
          [1, Buffer.from('state'), 7, null],
          [2, null, 0, { unread: Buffer.from('') }],
        ],
      },
      { index: 2, changes: Array.from({ length: 1024 }, (_, id) => [id, null, 0, null]) },
    ],
    gone: [{ index: 3, ids: [1, 2, -3] }],
    freeze: [{ frozenAtMs: 123_456.789 }],
    manifest: [{ parts: 4, sessions: 128, states: 2, digest: 0xffffffff }],
    prepared: [{ digest: 0 }],
    commit: [{}],
    abort: [{ reasons }],
    active: [{}],
    move: [
      { index: 0, sessions: [record] },
      { index: 9, sessions: Array.from({ length: 16 }, () => record) },
    ],
    held: [{ index: 0 }],
    moved: [{ index: 7 }],
  },
  BAG: {
    contents: [
      { format: 1, kinds: [], nextId: 1 },
      { format: 9, kinds: [{ name: 'chat', version: 2 }], nextId: 2 ** 53 - 1 },
    ],
    state: [{ name: 'rooms', version: 1, optional: false, bytes: Buffer.from([0xa0]), checksum: 0 }],
    sessions: [{ sessions: [record] }],
  },
}
