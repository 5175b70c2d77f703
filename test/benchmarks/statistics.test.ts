import t from 'tap'
import { breakDown } from '../../benchmarks/profile/breakdown.js'
import type { Frame, Sample } from '../../benchmarks/profile/cpu-profile.js'
import { PROTOCOLS } from '../../benchmarks/protocols.js'
import { median, medianInterval, slope } from '../../benchmarks/statistics.js'
import { Latencies } from '../../benchmarks/talk.js'

t.test('median and slope', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.ok(Number.isNaN(median([])))
  t.equal(
    slope([
      [1000, 10],
      [2000, 12],
      [3000, 14],
    ]),
    0.002,
  )
})

t.test('the interval of a median is within the values, around it, and narrow where there are many', async (t) => {
  t.same(medianInterval([2, 1, 3]), [1, 3])
  const many = Array.from({ length: 100 }, (_, index) => index)
  t.same(medianInterval(many), [39, 60])
})

t.test('a question that was open in a stretch of time belongs to it', async (t) => {
  const latencies = new Latencies()
  for (const [asked, answered] of [
    [0, 10],
    [5, 25],
    [12, 13],
    [40, 90],
  ] as const) {
    latencies.add(asked, answered)
  }
  t.match(latencies.between(11, 30), { count: 2, max: 20 })
  t.match(latencies.between(50, 60), { count: 1, max: 50 })
  t.match(latencies.between(100, 200), { count: 0, max: 0 })
})

t.test(
  'a sample counts for its phase as far as the phase goes, and for the innermost function that has a group',
  async (t) => {
    const frame = (functionName: string, url = ''): Frame => ({ functionName, url, line: 1 })
    const sample = (atMs: number, ...stack: Frame[]): Sample => ({ atMs, durationUs: 1000, stack })
    const samples = [
      sample(0.5, frame('send', 'file:///x/src/sys/channel.js'), frame('sendmsg')),
      sample(1.5, frame('take', 'file:///x/src/transfer/successor.js'), frame('decode', 'file:///x/src/wire/cbor.js')),
      sample(2.5, frame('(garbage collector)')),
    ]
    const windows = [
      { phase: 'copy', fromMs: 0, toMs: 2 },
      { phase: 'commit', fromMs: 2, toMs: 3 },
    ]
    const { rows } = breakDown(samples, windows, 10)
    t.strictSame(Object.fromEntries(rows.map(({ group, usPerSession }) => [group, usPerSession])), {
      channel: [100, 0],
      'state: encode, decode': [50, 50],
      'garbage collection': [0, 50],
    })
  },
)

t.test('a client sees each byte that is wrong', async (t) => {
  const { tcp, http } = PROTOCOLS
  const { request } = tcp
  t.notOk(tcp.isWhole(request.subarray(0, 5)))
  t.ok(tcp.isWhole(request))
  for (const wrong of [
    request.subarray(1),
    Buffer.concat([request, request.subarray(0, 1)]),
    Buffer.from('handover_'),
  ]) {
    t.throws(() => tcp.isWhole(wrong), /lost, doubled or wrong/)
  }
  const answer = (body: string): Buffer => Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n${body}`)
  const body = 'handover answers with sixty-four bytes, the same in every trial;'
  t.notOk(http.isWhole(answer(body.slice(1))))
  t.ok(http.isWhole(answer(body)))
  t.throws(() => http.isWhole(answer(body.replace('every', 'EVERY'))), /wrong body/)
  t.throws(() => http.isWhole(Buffer.from('HTTP/1.1 503 Service Unavailable\r\n\r\n')), /answered HTTP\/1.1 503/)
})
