import fc from 'fast-check'
import t from 'tap'
import {
  checkVersions,
  commonVersion,
  readableVersions,
  stepDown,
  stepUp,
  type Versioned,
  writableVersions,
} from '../../src/runtime/versions.js'

const same = (state: unknown): unknown => state

/** Steps that note where they were taken. */
const noted = (...steps: number[]) =>
  Object.fromEntries(steps.map((step) => [step, (trail: string) => `${trail} ${step}`]))

const declared: Versioned = { version: 4, upgrade: noted(1, 2, 3), downgrade: noted(4, 3, 2) }

t.test('what can be read and written: the own version, and as far as the steps lead without a gap', async (t) => {
  const cases: [Versioned, reads: number[], writes: number[]][] = [
    [{ version: 1 }, [1], [1]],
    [{ version: 3 }, [3], [3]],
    [declared, [4, 3, 2, 1], [4, 3, 2, 1]],
    [{ version: 4, upgrade: noted(3), downgrade: noted(4, 3) }, [4, 3], [4, 3, 2]],
    [{ version: 4, upgrade: noted(1, 3), downgrade: noted(4, 2) }, [4, 3], [4, 3]],
    [{ version: 4, upgrade: noted(1, 2), downgrade: noted(3, 2) }, [4], [4]],
  ]
  for (const [versioned, reads, writes] of cases) {
    t.doesNotThrow(() => checkVersions('it', versioned))
    t.same(readableVersions(versioned), reads)
    t.same(writableVersions(versioned), writes)
  }
})

t.test('steps are taken one by one, in order, and none for the own version', async (t) => {
  t.equal(stepUp(declared, 'up', 1), 'up 1 2 3')
  t.equal(stepUp(declared, 'up', 3), 'up 3')
  t.equal(stepUp(declared, 'up', 4), 'up')
  t.equal(stepDown(declared, 'down', 1), 'down 4 3 2')
  t.equal(stepDown(declared, 'down', 3), 'down 4')
  t.equal(stepDown(declared, 'down', 4), 'down')
})

t.test('a step that throws, or returns a promise', async (t) => {
  const versioned: Versioned = {
    version: 2,
    upgrade: { 1: () => Promise.reject(new Error('later')) },
    downgrade: {
      2: () => {
        throw new RangeError('no way back')
      },
    },
  }
  t.throws(() => stepUp(versioned, {}, 1), { message: /^upgrade step 1 returned a promise/ })
  t.throws(() => stepDown(versioned, {}, 1), { name: 'RangeError', message: 'no way back' })
})

t.test('declarations that contradict themselves', async (t) => {
  const cases: [unknown, RegExp][] = [
    [{ version: 0 }, /version must be a positive integer, not 0/],
    [{ version: -1 }, /not -1/],
    [{ version: 1.5 }, /not 1.5/],
    [{ version: '2' }, /not 2/],
    [{ version: undefined }, /not undefined/],
    [{ version: 2 ** 53 }, /not 9007199254740992/],
    [{ version: 2, upgrade: { 2: same } }, /upgrade step 2 leads to version 3, but the version is 2/],
    [{ version: 2, upgrade: { 0: same } }, /upgrade step 0 must be named by a version/],
    [{ version: 2, upgrade: { '1.5': same } }, /upgrade step 1.5 must be named by a version/],
    [{ version: 2, upgrade: { v1: same } }, /upgrade step v1 must be named by a version/],
    [{ version: 2, upgrade: { 1: 'to 2' } }, /upgrade step 1 must be a function/],
    [{ version: 2, downgrade: { 3: same } }, /downgrade step 3 starts above version 2/],
    [{ version: 2, downgrade: { 1: same } }, /downgrade step 1 .*leads below 1/],
    [{ version: 2, downgrade: { 2: null } }, /downgrade step 2 must be a function/],
  ]
  for (const [versioned, why] of cases) {
    t.throws(() => checkVersions('session kind "chat"', versioned as Versioned), {
      code: 'HANDOVER_USAGE',
      message: why,
    })
    t.throws(() => checkVersions('session kind "chat"', versioned as Versioned), { message: /^session kind "chat": / })
  }
})

t.test('the newest version in common', async (t) => {
  t.equal(commonVersion([3, 2, 1], [2, 1]), 2)
  t.equal(commonVersion([2, 1], [4, 3, 2, 1]), 2)
  t.equal(commonVersion([3], [2, 1]), undefined)
  t.equal(commonVersion([], [1]), undefined)
})

t.test('whatever two releases declare, state goes between them, or they have no version in common', async (t) => {
  const release = fc.integer({ min: 1, max: 6 }).chain((version) =>
    fc.record({
      version: fc.constant(version),
      up: fc.subarray([1, 2, 3, 4, 5]),
      down: fc.subarray([2, 3, 4, 5, 6]),
    }),
  )
  /** State that says its version; a step that gets another one throws. */
  const versioned = ({ version, up, down }: { version: number; up: number[]; down: number[] }): Versioned => ({
    version,
    upgrade: Object.fromEntries(up.filter((from) => from < version).map((from) => [from, move(from, from + 1)])),
    downgrade: Object.fromEntries(down.filter((from) => from <= version).map((from) => [from, move(from, from - 1)])),
  })
  const move = (from: number, to: number) => (state: { at: number }) => {
    if (state.at !== from) throw new Error(`step ${from} got version ${state.at}`)
    return { at: to }
  }
  const { failed, ...details } = fc.check(
    fc.property(release, release, (one, other) => {
      const [predecessor, successor] = [versioned(one), versioned(other)]
      checkVersions('it', predecessor)
      const version = commonVersion(writableVersions(predecessor), readableVersions(successor))
      if (version === undefined) return
      const state = stepUp(successor, stepDown(predecessor, { at: predecessor.version }, version), version) as {
        at: number
      }
      if (state.at !== successor.version) throw new Error(`arrived at ${state.at}`)
    }),
    { numRuns: 1000 },
  )
  t.notOk(failed, fc.defaultReportMessage({ failed, ...details } as never) ?? `${details.numRuns} runs`)
})
