import { once } from 'node:events'
import t from 'tap'
import { binding } from '../../src/sys/binding.js'
import { descriptorOf, timeLeftMs } from '../../src/sys/node-internals.js'
import { openDescriptors } from '../../src/sys/open-descriptors.js'
import { streamPair } from '../../src/sys/stream-pair.js'
import { until } from '../harness/timeout.js'

t.test('two ends of one stream, which no program that is started inherits', async (t) => {
  const before = openDescriptors()
  const [left, right] = streamPair()
  for (const end of [left, right]) t.ok(binding().isCloseOnExec(descriptorOf(end) as number))
  const big = Buffer.alloc(1_000_000, 3)
  left.write(big)
  let got = 0
  right.on('data', (bytes: Buffer) => (got += bytes.length))
  await until(() => got === big.length, 'all of it')
  right.end('back')
  const [back] = (await once(left, 'data')) as [Buffer]
  t.equal(back.toString(), 'back')
  left.end()
  await Promise.all([once(left, 'close'), once(right, 'close')])
  t.equal(openDescriptors(), before)
})

t.test('the time a timer has left', async (t) => {
  const timer = setTimeout(() => undefined, 60_000)
  const left = timeLeftMs(timer) ?? 0
  t.ok(left > 59_000 && left <= 60_000, `${left} ms of 60,000`)
  clearTimeout(timer)
  t.equal(timeLeftMs(timer), undefined, 'none, when it was cleared')
  let hasFired = false
  const short = setTimeout(() => {
    hasFired = true
  }, 1)
  await until(() => hasFired, 'a timer to fire')
  t.equal(timeLeftMs(short), undefined, 'none, when it has fired')
  short.refresh()
  t.type(timeLeftMs(short), 'number', 'some, when it begins anew')
  clearTimeout(short)
})
