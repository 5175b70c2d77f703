/**
 * What is in the files of test/wire/corpus/v1, as it was meant when they were written: protocol version 1. Never changed
 * and never taken out: a release in the field writes this. `EXAMPLES` beside it follows today's code, this does not.
 */

const shared = { name: 'shared' }
const loop: { name: string; self?: unknown; members: unknown[] } = { name: 'loop', members: [] }
loop.self = loop
loop.members.push(loop, shared, shared)

const sparse = new Map<unknown, unknown>([
  ['text', 1],
  [2, 'number'],
  [shared, 'object'],
  [null, new Map([[true, 1n]])],
])

/** Captured state, by the name of its file. */
export const STATES: Readonly<Record<string, unknown>> = {
  simple: { nick: 'ada', room: null, said: 3, away: undefined, loud: true, quiet: false },
  numbers: [
    0,
    1,
    23,
    24,
    255,
    256,
    65_535,
    65_536,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 53 - 1,
    -1,
    -24,
    -25,
    -(2 ** 31),
    0.5,
    1e300,
  ],
  'numbers-that-are-none': [Number.NaN, Infinity, -Infinity],
  bigints: [0n, -1n, 2n ** 63n, -(2n ** 63n), 2n ** 64n, -(3n ** 70n)],
  texts: ['', 'a', 'x'.repeat(24), 'y'.repeat(300), 'ä€🎈', '\u0000'],
  dates: [new Date(0), new Date(1_700_000_000_123), new Date(Number.NaN)],
  patterns: [/a+/, /[ä-ö]\/"/gi],
  bytes: { half: Buffer.from('half a line'), none: Buffer.alloc(0), long: Buffer.alloc(300, 7) },
  'typed-arrays': [
    new Uint8Array([1, 255]),
    new Uint8ClampedArray([1, 255]),
    new Uint16Array([1, 65_535]),
    new Uint32Array([1, 2 ** 32 - 1]),
    new BigUint64Array([1n, 2n ** 64n - 1n]),
    new Int8Array([-128, 127]),
    new Int16Array([-32_768, 32_767]),
    new Int32Array([-(2 ** 31), 2 ** 31 - 1]),
    new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n]),
    new Float32Array([0.5, -1]),
    new Float64Array([0.1, 1e300]),
  ],
  maps: sparse,
  sets: new Set<unknown>(['a', 1, new Set([2])]),
  nested: { list: [[], [[1], [2, [3]]]], empty: {} },
  cycle: loop,
  'one-thing-twice': [shared, shared, { again: shared }],
}

interface StoredMessage {
  readonly descriptors: number
  readonly sequence: number
  readonly fields: Readonly<Record<string, unknown>>
}

const stored = (fields: Record<string, unknown>, descriptors = 0, sequence = 0): StoredMessage => ({
  descriptors,
  sequence,
  fields,
})
const protocol = { min: 1, max: 1 }
const reasons = [
  { reason: 'plain', count: 1 },
  { reason: 'restore failed', count: 5, kind: 'chat', version: 2 },
]
const phases = [{ phase: 'vote', durationMs: 0.25 }]
const pauseMs = { p50: 0, p99: 1.5, max: 2 }
/** A new one each time: messages know no thing in two places. */
const socket = () => ({
  allowHalfOpen: false,
  readEnded: false,
  writeEnded: false,
  finSent: false,
  paused: true,
  timeoutMs: 30_000,
  idleAtMs: 123_456.5,
  bytesRead: 70_000,
  bytesWritten: 5,
  peer: { address: '127.0.0.1', port: 54_321, family: 'IPv4' },
  unread: Buffer.from('half'),
  unsent: Buffer.alloc(0),
})

/** Messages, by table and kind. */
export const MESSAGES: Readonly<Record<'CONTROL' | 'TRANSFER' | 'BAG', Readonly<Record<string, StoredMessage>>>> = {
  CONTROL: {
    hello: stored({ protocol, pid: 4_194_304, node: '20.20.2', release: 'chat-1' }),
    welcome: stored({ protocol: 1, generation: 7, role: 'successor' }),
    listen: stored({ request: 1, name: 'chat', host: null, port: 4000, backlog: 511 }, 0, 1),
    listening: stored({ request: 1 }, 1, 1),
    unavailable: stored({ request: 1, reason: 'EADDRINUSE' }, 0, 1),
    ready: stored({ sessions: [{ name: 'chat', reads: [2, 1] }], states: [{ name: 'rooms', reads: [1] }] }, 0, 2),
    activate: stored({}, 0, 2),
    retire: stored({ drainMs: 30_000, policy: 'best-effort', untilMs: 123_456.5 }, 0, 2),
    transfer: stored({ side: 'predecessor', checkMs: 10_000, freezeMs: 5000, drainMs: 30_000 }, 3, 2),
    active: stored(
      { sessions: 1000, pauseMs, listeners: [{ name: 'chat', cookie: '18446744073709551615', port: 4000 }] },
      0,
      3,
    ),
    committed: stored({ moved: 1000, phases }, 0, 3),
    aborted: stored({ side: 'successor', outcome: 'refused', reasons, phases, pauseMs: null }, 0, 3),
    drained: stored({ drained: 1, dropped: 2, reasons }, 0, 4),
    group: stored({ group: 3 }, 2, 4),
    settled: stored({ group: 3 }, 0, 4),
    freeze: stored({ group: 3 }, 0, 6),
    voted: stored({ group: 3 }, 0, 5),
    give: stored({ side: 'giver', give: 5, sessions: 40, checkMs: 10_000, freezeMs: 5_000, drainMs: 30_000 }, 1, 7),
    given: stored({ give: 5, sessions: 40, pauseMs, reasons }, 0, 6),
    unpack: stored({ last: true }, 1, 7),
    unpacked: stored({ sessions: 2, states: 1, reasons }, 0, 8),
    pack: stored({}, 0, 8),
    packed: stored({ sessions: 2, last: true }, 1, 9),
    ask: stored({ request: 7 }, 0, 3),
    status: stored({ request: 7, sessions: [{ name: 'chat', count: 1000 }], unregistered: 2 }, 0, 4),
    kept: stored({ name: 'chat', host: '::1', port: 443, backlog: 511, type: 'tcp' }, 1, 1),
    rejoined: stored(
      {
        generation: 4,
        phase: 'draining',
        transfers: false,
        states: [{ name: 'rooms', reads: [1] }],
        listeners: [{ name: 'chat', cookie: '12345', port: 443 }],
        drained: { drained: 1, dropped: 2, reasons },
      },
      0,
      2,
    ),
  },
  TRANSFER: {
    offer: stored({
      protocol,
      sessions: [{ name: 'chat', writes: [2, 1], sessions: 2 }],
      states: [{ name: 'rooms', writes: [1], sessions: 0 }],
      descriptors: 2,
    }),
    accept: stored({
      protocol: 1,
      sessions: [{ name: 'chat', version: 1, early: true }],
      states: [{ name: 'rooms', version: 1 }],
    }),
    refuse: stored({ reasons }),
    state: stored({ name: 'rooms', bytes: Buffer.from([0xa0]), checksum: 0xffffffff }, 0, 1),
    batch: stored(
      {
        index: 0,
        sessions: [
          [1, 0, Buffer.from([0xa0]), 2_563_061_267, socket()],
          [2 ** 53 - 1, 0, null, 0, { ...socket(), peer: null, idleAtMs: null }],
        ],
      },
      2,
      2,
    ),
    received: stored({ index: 0 }, 0, 1),
    update: stored(
      {
        index: 1,
        changes: [
          [1, Buffer.from([0xa0]), 7, null],
          [2, null, 0, socket()],
        ],
      },
      0,
      3,
    ),
    gone: stored({ index: 2, ids: [2, 3] }, 0, 4),
    freeze: stored({ frozenAtMs: 123_456.789 }, 0, 5),
    manifest: stored({ parts: 3, sessions: 1, states: 1, digest: 0xfffffffe }, 0, 6),
    prepared: stored({ digest: 0xfffffffe }, 0, 4),
    commit: stored({}, 0, 7),
    abort: stored({ reasons }, 0, 7),
    active: stored({}, 0, 5),
    move: stored({ index: 0, sessions: [[7, 0, Buffer.from([0xa0]), 2_563_061_267, socket()]] }, 2, 8),
    held: stored({ index: 0, refused: [{ id: 7, reason: 'not now', kind: 'chat', version: 1 }] }, 0, 6),
    moved: stored({ index: 1 }, 0, 8),
  },
  BAG: {
    contents: stored({ format: 1, kinds: [{ name: 'chat', version: 2 }], nextId: 12 }),
    state: stored(
      { name: 'rooms', version: 1, optional: true, bytes: Buffer.from([0xa0]), checksum: 2_563_061_267 },
      0,
      1,
    ),
    sessions: stored({ sessions: [[1, 0, Buffer.from([0xa0]), 2_563_061_267, socket()]] }, 1, 2),
  },
}
