/**
 * The protocol with its faults, every interleaving of it: src/transfer/transfer.pml, with the phase table put in as it is.
 * HANDOVER_MODEL_FAULTS is how many faults a run may meet at most (1; `npm run test:model` takes 2).
 */
import t from 'tap'
import { PHASES } from '../../src/transfer/phases.js'
import { lineOf, phasesPml, rowsOf } from './promela.js'
import { skip, verifierFor, type World } from './spin.js'

const faults = Number(process.env['HANDOVER_MODEL_FAULTS'] ?? 1)

/** No run of this protocol comes to these rows. */
const NEVER = ['successor vote abort']

const worlds: [why: string, world: World, properties: readonly string[]][] = [
  ['no fault, sessions that open and close', { faults: 0, sessions: 2, bytes: 1 }, ['commits', 'ends', 'safe']],
  [`${faults} faults, deadlines that pass, refusals`, { faults, sessions: 1, bytes: 1 }, ['safe', 'ends']],
]

/** Lines of the table that no world came to so far. */
const lines = phasesPml(PHASES)
  .split('\n')
  .map((line) => line.trim())
let never = rowsOf(PHASES)

for (const [why, world, properties] of worlds) {
  t.test(why, { skip }, (t) => {
    const verifier = verifierFor(t, PHASES, world)
    for (const property of properties) {
      const { error, trail, states, seconds, unreached } = verifier.check(property)
      t.equal(error, undefined, `${property}: no counterexample\n${trail}`)
      t.comment(`${property}: ${states} states in ${seconds.toFixed(1)} s`)
      never = never.filter((row) => unreached.has(lines.indexOf(lineOf(row)) + 1))
    }
    t.end()
  })
}

t.test('every row of the table happens', { skip }, (t) => {
  t.same(
    never.map(({ side, phase, event }) => `${side} ${phase} ${event}`),
    NEVER,
  )
  t.end()
})

t.test('a table with a phase, an event or a fence the model does nothing with is refused', (t) => {
  const { predecessor } = PHASES
  const check = { ...predecessor.check, on: { ...predecessor.check.on, surprise: { to: 'thawed' } } }
  t.throws(() => phasesPml({ ...PHASES, predecessor: { ...predecessor, check } }), /knows no event surprise/)
  t.throws(
    () => phasesPml({ ...PHASES, predecessor: { ...predecessor, limbo: predecessor.check } }),
    /knows no phase limbo of the predecessor/,
  )
  t.end()
})
