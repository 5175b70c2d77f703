/** A bounded share of the kill matrix, always the same; all of it is `npm run test:faults`. */
import t from 'tap'
import { scaled } from '../harness/timeout.js'
import { rehearse, runCells } from './matrix.js'
import { CELLS, shareOf } from './steps.js'

t.setTimeout(scaled(100_000))

const SEED = 7
const CELLS_HERE = 16
const JOBS = 2

t.test('each message occurs in a scenario, and nothing goes wrong by itself', async (t) => {
  const rehearsal = await rehearse()
  t.same(rehearsal.red, [])
  const cells = shareOf(CELLS, CELLS_HERE / CELLS.length, SEED)
  t.comment(`${cells.length} of ${CELLS.length} cells, seed ${SEED}`)
  await runCells(cells, rehearsal, SEED, JOBS, ({ cell, ending, red }) => {
    t.same(red, [], `${cell.name}: ${ending}`)
  })
})
