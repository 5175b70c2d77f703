/** PROTOCOL.md against the code, in both directions. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { FOLLOWING, PHASES } from '../../src/transfer/phases.js'
import { BAG, BAG_FORMAT } from '../../src/wire/bag.js'
import { MAX_STATE_BYTES } from '../../src/wire/envelope.js'
import { MAX_TEXT } from '../../src/wire/fields.js'
import { FRAME_VERSION, HEADER_BYTES, MAX_BODY_BYTES, MAX_INLINE_BYTES } from '../../src/wire/frame.js'
import { CONTROL, PROTOCOL_VERSION, TRANSFER } from '../../src/wire/messages.js'
import { MAX_DEPTH } from '../../src/wire/plain.js'
import { MAX_BATCH, MAX_MOVE, MAX_UPDATE } from '../../src/wire/session-record.js'
import { compiled } from '../harness/child.js'
import { messagesTable, phasesTable, piecesTable } from './tables.js'

/** Without the padding that lines tables up. */
const text = readFileSync(compiled('../src/transfer/PROTOCOL.md'), 'utf8').replace(/^\|.*$/gm, (row) =>
  row.replace(/ +/g, ' ').replace(/-{3,}/g, '---'),
)

/** The first table below a heading. */
function tableBelow(heading: string): string[] {
  const [, below] = text.split(`\n${heading}\n`)
  if (below === undefined) throw new Error(`there is no heading "${heading}"`)
  const lines = below.split('\n')
  const first = lines.findIndex((line) => line.startsWith('|'))
  const length = lines.slice(first).findIndex((line) => !line.startsWith('|'))
  return lines.slice(first, first + length)
}

const TABLES: Record<string, string> = {
  '### Control: supervisor and runtime': messagesTable(CONTROL),
  '### Transfer: predecessor and successor': messagesTable(TRANSFER),
  '### Bag: one keeper and a later one': messagesTable(BAG),
  '### The pieces': piecesTable(),
  '### Predecessor': phasesTable('predecessor'),
  '### Successor': phasesTable('successor'),
  '### The predecessor gives': phasesTable('predecessor', FOLLOWING),
  '### The successor takes': phasesTable('successor', FOLLOWING),
}

for (const [heading, table] of Object.entries(TABLES)) {
  t.test(heading, async (t) => t.strictSame(tableBelow(heading), table.split('\n')))
}

t.test('every message and every phase of the text is one of the code', async (t) => {
  const known = new Set([...Object.keys(CONTROL), ...Object.keys(TRANSFER)])
  const drawn = /## The whole sequence\n+```([^`]*)```/.exec(text)![1]!
  const WORDS = ['supervisor', 'predecessor', 'successor', 'spawn', 'SIGTERM']
  const said = [...drawn.matchAll(/[◀─] ?(?:─+ )?([a-z]+)(?: \(\w+\))?(?: \[[^\]]*\])? ?[─│▶]/g)].map(
    ([, word]) => word!,
  )
  t.same(
    said.filter((word) => !known.has(word) && !WORDS.includes(word)),
    [],
  )
  t.same(
    Object.keys(TRANSFER).filter((kind) => !drawn.includes(kind) && !['refuse', 'abort'].includes(kind)),
    [],
    'every message of the good way is drawn',
  )
  const bold = [...text.matchAll(/^\| \*\*(\w+)\*\* \|/gm)].map(([, phase]) => phase!)
  t.same(
    bold,
    [PHASES, FOLLOWING].flatMap(({ predecessor, successor }) => [predecessor, successor].flatMap(Object.keys)),
  )
})

t.test('numbers', async (t) => {
  const limits = tableBelow('## Limits').join('\n')
  const has = (words: string): unknown => t.ok(limits.includes(words), words)
  has(`descriptors, of a batch | ${MAX_BATCH} |`)
  has(`sessions of a \`move\` | ${MAX_MOVE} |`)
  has(`changes of an update, ids of a \`gone\` | ${MAX_UPDATE.toLocaleString('en')} |`)
  has(`body inside the datagram | ${MAX_INLINE_BYTES / 1024} KiB |`)
  has(`body of a message | ${MAX_BODY_BYTES / 1024 ** 2} MiB |`)
  has(`shared state | ${MAX_STATE_BYTES / 1024 ** 2} MiB |`)
  has(`nesting of a state | ${MAX_DEPTH} as captured, ${MAX_DEPTH * 3} with its tags |`)
  has(`text of a reason | ${MAX_TEXT} characters |`)
  t.ok(text.includes(`a header of ${HEADER_BYTES} bytes`))
  t.ok(text.includes(`**bag format** (${BAG_FORMAT})`))
  t.ok(text.includes(`**frame version** (${FRAME_VERSION})`))
  t.ok(text.includes(`**protocol version** (${PROTOCOL_VERSION})`))
})

t.test('links within the text lead somewhere', async (t) => {
  const anchors = new Set(
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    ),
  )
  const links = [...text.matchAll(/\]\(#([^)]*)\)/g)].map(([, anchor]) => anchor!)
  t.ok(links.length > 5)
  t.same(
    links.filter((anchor) => !anchors.has(anchor)),
    [],
  )
})
