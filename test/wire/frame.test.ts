import t, { type Test } from 'tap'
import {
  FRAME_VERSION,
  HEADER_BYTES,
  type Header,
  MAX_BODY_BYTES,
  readHeader,
  writeHeader,
} from '../../src/wire/frame.js'

const inline: Header = { external: false, descriptors: 3, sequence: 7, length: 5 }
const external: Header = { external: true, descriptors: 3, sequence: 0xffffffff, length: MAX_BODY_BYTES }

function framed(header: Header, body = 0): Buffer {
  const message = Buffer.alloc(HEADER_BYTES + body, 0xaa)
  writeHeader(message, header)
  return message
}

/** The inline message with some bytes of its header written over. */
function patched(at: number, ...bytes: number[]): Buffer {
  const message = framed(inline, inline.length)
  Buffer.from(bytes).copy(message, at)
  return message
}

const refuses = (t: Test, message: Buffer, why: RegExp, received = 3, expected = 7): unknown =>
  t.throws(() => readHeader(message, received, expected), {
    name: 'HandoverError',
    code: 'HANDOVER_MESSAGE_INVALID',
    message: why,
  })

t.test('a header is read as it was written', async (t) => {
  t.same(readHeader(framed(inline, 5), 3, 7), inline)
  t.same(readHeader(framed(external), 4, 0xffffffff), external)
})

t.test('the bytes are those of the protocol', async (t) => {
  t.equal(framed(inline, 5).toString('hex'), '484e444f010000030000000700000005aaaaaaaaaa')
  t.equal(framed(external).toString('hex'), '484e444f01010003ffffffff20000000')
  t.equal(FRAME_VERSION, 1)
})

t.test('cut off at every byte', async (t) => {
  const whole = framed(inline, inline.length)
  for (let length = 0; length < whole.length; length++) {
    refuses(
      t,
      whole.subarray(0, length),
      length < HEADER_BYTES ? /it has \d+ bytes, the header alone has 16/ : /it names 5 bytes, but \d are there/,
    )
  }
})

t.test('more than it says', async (t) => {
  refuses(t, framed(inline, 6), /it names 5 bytes, but 6 are there/)
  refuses(t, framed({ ...external, length: 1 }, 1), /but 1 are there/, 4, 0xffffffff)
})

t.test('another beginning', async (t) => {
  for (let at = 0; at < 4; at++) refuses(t, patched(at, 0), /does not begin with HNDO/)
})

t.test('another version', async (t) => {
  for (const version of [0, 2, 255])
    refuses(t, patched(4, version), new RegExp(`frame version is ${version}, this side speaks 1`))
})

t.test('flags nobody knows', async (t) => {
  for (let flags = 2; flags < 256; flags++) refuses(t, patched(5, flags), /flags 0x[0-9a-f]+ are unknown/)
})

t.test('another number of descriptors than it says', async (t) => {
  for (const received of [0, 2, 4])
    refuses(t, framed(inline, 5), new RegExp(`names 3, but ${received} descriptors came`), received)
  for (const received of [0, 3, 5])
    refuses(
      t,
      framed(external),
      new RegExp(`names 3 and a memfd, but ${received} descriptors came`),
      received,
      0xffffffff,
    )
})

t.test('out of order', async (t) => {
  for (const expected of [0, 6, 8])
    refuses(t, framed(inline, 5), new RegExp(`sequence number is 7, expected ${expected}`), 3, expected)
})

t.test('a body over the limit', async (t) => {
  refuses(
    t,
    framed({ ...external, length: MAX_BODY_BYTES + 1 }),
    /a body of 536870913 bytes is over the limit of 536870912/,
    4,
    0xffffffff,
  )
  refuses(t, patched(12, 0xff, 0xff, 0xff, 0xff), /a body of 4294967295 bytes is over the limit/)
})
