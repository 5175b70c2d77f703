import t from 'tap'
import { shortages } from '../../src/supervisor/budget.js'

const MiB = 1024 ** 2
const need = { predecessorBytes: 150 * MiB, successorBytes: 40 * MiB, othersBytes: 0 }
const group = { of: 'group', name: '/sys/fs/cgroup/memory.max', limitBytes: 400 * MiB, leftBytes: 110 * MiB } as const
const machine = {
  of: 'machine',
  name: 'the machine (MemAvailable)',
  limitBytes: 20_480 * MiB,
  leftBytes: 110 * MiB,
} as const

t.test('enough, to the byte', async (t) => {
  t.strictSame(shortages(need, 300 * MiB, [group, machine]), [])
  t.strictSame(shortages(need, Number.POSITIVE_INFINITY, []), [])
  t.strictSame(
    shortages({ ...need, successorBytes: 150 * MiB }, 1, [{ ...group, leftBytes: 0 }]),
    [],
    'it has grown already',
  )
})

t.test('a byte too few: the limit, its value, what is there, what is needed, what to do', async (t) => {
  const growth =
    'not enough memory: the successor (40.0 MiB) is expected to grow by 110 MiB, to the size of the predecessor (150 MiB)'
  t.strictSame(shortages(need, 300 * MiB - 1, [group, machine]), [
    `${growth}; 110 MiB are left of the 300 MiB of --memory-limit: raise it`,
  ])
  t.strictSame(shortages(need, 1, [group, machine]), [
    `${growth}; 0.0 MiB are left of the 0.0 MiB of --memory-limit: raise it`,
  ])
  t.strictSame(
    shortages(need, 500 * MiB, [
      { ...group, leftBytes: 109 * MiB },
      { ...machine, leftBytes: 90 * MiB },
    ]),
    [
      `${growth}; 109 MiB are left of the 400 MiB of /sys/fs/cgroup/memory.max: raise it`,
      `${growth}; 90.0 MiB are left of the 20.0 GiB of the machine (MemAvailable): free memory, or take a larger machine`,
    ],
  )
})

t.test('generations that drain count against the own limit, and are named', async (t) => {
  const [reason] = shortages({ ...need, othersBytes: MiB }, 300 * MiB, [group, machine])
  t.match(
    reason,
    /; other generations that drain have 1.0 MiB; 109 MiB are left .*: raise it, or wait until they have drained$/,
  )
})
