import t from 'tap'
import { parseSize } from '../../src/cli/size.js'

t.test('sizes, in powers of 1024', async (t) => {
  for (const [text, bytes] of [
    ['1', 1],
    ['1073741824', 1024 ** 3],
    ['512M', 512 * 1024 ** 2],
    ['1g', 1024 ** 3],
    ['1.5G', 1.5 * 1024 ** 3],
    ['64K', 65_536],
    ['2T', 2 * 1024 ** 4],
  ] as const)
    t.equal(parseSize(text), bytes, text)
})

t.test('what is none', async (t) => {
  for (const text of [
    '',
    '0',
    '0.1',
    '-1',
    '1GB',
    'M',
    '1 G',
    'much',
    '1e9',
    '1.G',
    '0x10',
    '9007199254740993',
    '99999999999999T',
  ])
    t.throws(() => parseSize(text), { code: 'HANDOVER_USAGE', message: /is not a size, such as 1G/ }, text)
})
