/** What an inflater remembers can be asked for, and asking changes nothing. */

import { constants, createDeflateRaw, createInflateRaw, type InflateRaw } from 'node:zlib'
import t from 'tap'
import { canReadWindow, fullDictionary, inflateWindow, withoutZerosBefore } from '../../src/sys/node-internals.js'

/** Writes, flushes, and gives what came out. */
async function through(stream: ReturnType<typeof createDeflateRaw> | InflateRaw, bytes: Buffer): Promise<Buffer> {
  const out: Buffer[] = []
  const keep = (chunk: Buffer) => void out.push(chunk)
  stream.on('data', keep)
  stream.write(bytes)
  await new Promise<void>((resolve) => stream.flush(constants.Z_SYNC_FLUSH, resolve))
  stream.removeListener('data', keep)
  return Buffer.concat(out)
}

const noise = (length: number, seed: number): Buffer => {
  let state = seed
  return Buffer.from(Array.from({ length }, () => (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16))
}

t.ok(canReadWindow())

for (const windowBits of [9, 10, 12, 15]) {
  t.test(`a window of ${windowBits} bits`, async (t) => {
    const deflater = createDeflateRaw({ windowBits })
    let inflater = createInflateRaw({ windowBits, dictionary: fullDictionary(Buffer.alloc(0)) })
    let sent = Buffer.alloc(0)
    for (const length of [0, 1, 257, 1000, 40_000, 3]) {
      const bytes = Buffer.concat([sent.subarray(-300), noise(length, length + 1)])
      t.ok((await through(inflater, await through(deflater, bytes))).equals(bytes), `${length} bytes more`)
      sent = Buffer.concat([sent, bytes])
      const expected = sent.subarray(-(1 << windowBits))
      for (let times = 0; times < 3; times++) {
        const window = inflateWindow(inflater, windowBits) as Buffer
        t.ok(window.subarray(window.length - expected.length).equals(expected), 'its window is what has come')
        t.ok(window.subarray(0, window.length - expected.length).every((byte) => byte === 0))
      }
      // The same deflater, another inflater: as in another process.
      const window = Buffer.from(withoutZerosBefore(inflateWindow(inflater, windowBits) as Buffer))
      inflater.close()
      inflater = createInflateRaw({ windowBits, dictionary: fullDictionary(window) })
    }
    inflater.close()
    deflater.close()
  })
}

t.test('one that is at work, in the middle of a block, or closed', async (t) => {
  const deflater = createDeflateRaw()
  const whole = await through(deflater, noise(5000, 1))
  const inflater = createInflateRaw({ dictionary: fullDictionary(Buffer.alloc(0)) })
  const errors: unknown[] = []
  inflater.on('error', (error) => errors.push(error))
  const came = through(inflater, whole.subarray(0, 100))
  t.equal(inflateWindow(inflater, 15), undefined, 'at work')
  await came
  t.equal(inflateWindow(inflater, 15), undefined, 'in the middle of a block')
  t.same(errors, [], 'and nobody is told of it')
  inflater.close()
  t.equal(inflateWindow(inflater, 15), undefined, 'closed')
  deflater.close()
})
