/** The vocabulary of errors is the same in the code and in docs/errors.md, and every word of it is used. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { ERRORS, HandoverError } from '../../src/errors.js'
import { root, sourceFiles } from './source.js'

t.test('docs/errors.md has the table of src/errors.ts, row by row', async (t) => {
  const rows = readFileSync(`${root}docs/errors.md`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
  const expected = Object.entries(ERRORS).map(
    ([code, { when, next, exit }]) => `| \`${code}\` | ${when} | ${next} | ${exit} |`,
  )
  t.same(rows, expected)
})

t.test('every code is thrown somewhere, and no other is', async (t) => {
  const used = new Set<string>()
  for (const { path, text } of sourceFiles('src')) {
    if (path === 'src/errors.ts') continue
    for (const [code] of text.matchAll(/HANDOVER_[A-Z_]+(?=')/g)) used.add(code)
  }
  const known = new Set<string>(Object.keys(ERRORS))
  const variables = [
    'HANDOVER_CHANNEL',
    'HANDOVER_REJOIN',
    'HANDOVER_CARRIED',
    'HANDOVER_REHEARSAL',
    'HANDOVER_RECORD_SHAPES',
  ]
  t.same(
    [...used].filter((code) => !known.has(code) && !variables.includes(code)),
    [],
    'no unknown code',
  )
  t.same(
    [...known].filter((code) => !used.has(code)),
    [],
    'no unused code',
  )
})

t.test('a message says what happened and what to do next', async (t) => {
  const error = new HandoverError('HANDOVER_BUSY', 'upgrade 3 is in progress')
  t.equal(error.message, `upgrade 3 is in progress. ${ERRORS.HANDOVER_BUSY.next}`)
  t.equal(error.exitCode, ERRORS.HANDOVER_BUSY.exit)
})
