/** A stream apart from its socket: what travels of it, and what it does with a client that does not read. */
import t from 'tap'
import type { Output } from '../../src/adapters/sse/output.js'
import { Stream } from '../../src/adapters/sse/stream.js'
import { nowMs } from '../../src/sys/clock.js'
import { until } from '../harness/timeout.js'

class FakeOutput implements Output {
  readonly written: string[] = []
  readonly calls: string[] = []
  readonly framing = { chunked: true, last: false }
  readonly notNow = undefined
  queuedBytes = 0
  isHeld = false

  write(bytes: Uint8Array): boolean {
    this.written.push(String(Buffer.from(bytes)))
    return true
  }

  end(): void {
    this.calls.push('end')
  }

  finish(): void {
    this.calls.push('finish')
  }

  destroy(): void {
    this.calls.push('destroy')
  }
}

const streamOf = (heartbeatMs: number, maxQueuedBytes = 1000) => {
  const over: string[] = []
  const stream: Stream<unknown> = new Stream({ heartbeatMs, maxQueuedBytes }, () => over.push('over'))
  stream.on('close', (reason) => over.push(reason))
  return { stream, output: new FakeOutput(), over }
}

t.test('the heartbeat travels as an instant, and is set anew by what is sent', async (t) => {
  const { stream, output } = streamOf(60_000)
  const dueAtMs = nowMs() + 1234
  stream.start(output, dueAtMs)
  t.equal(stream.record().heartbeatAtMs, dueAtMs)
  const before = nowMs()
  stream.send({ data: 'x' })
  t.ok(stream.record().heartbeatAtMs! >= before + 60_000)
  const other = streamOf(1000)
  other.stream.start(other.output, nowMs() + 60_000)
  t.ok(other.stream.record().heartbeatAtMs! <= nowMs() + 1000, 'a release that beats more often does not wait')
  const never = streamOf(0)
  never.stream.start(never.output, dueAtMs)
  t.equal(never.stream.record().heartbeatAtMs, null)
  for (const one of [stream, other.stream]) one.moved()
})

t.test('an overdue heartbeat waits until the socket is live', async (t) => {
  const { stream, output } = streamOf(60_000)
  output.isHeld = true
  stream.start(output, nowMs() - 5)
  // One that is live, and overdue as long, has beaten by then.
  const live = streamOf(60_000)
  live.stream.start(live.output, nowMs() - 5)
  await until(() => live.output.written.length === 1, 'the heartbeat of the other')
  live.stream.moved()
  t.same(output.written, [])
  output.isHeld = false
  await until(() => output.written.length === 1, 'the heartbeat')
  t.same(output.written, [':\n\n'])
  stream.moved()
})

t.test('too much that is not taken', async (t) => {
  const { stream, output, over } = streamOf(0)
  stream.start(output)
  output.queuedBytes = 1000
  t.equal(stream.send({ id: 1, data: 'x' }), true)
  output.queuedBytes = 1001
  t.equal(stream.send({ id: 2, data: 'x' }), false)
  t.same([output.calls, stream.isOpen, stream.lastEventId], [['destroy'], false, '1'])
  stream.over()
  stream.over()
  t.same(over, ['over', 'slow'], 'once')
})

t.test('one that has moved says nothing, and nothing is sent', async (t) => {
  const { stream, output, over } = streamOf(1)
  stream.start(output)
  stream.moved()
  stream.over()
  t.equal(stream.send({ data: 'x' }), false)
  stream.close()
  t.same([output.written, output.calls, over], [[], [], ['over']])
})

t.test('one that was closed elsewhere only ends', async (t) => {
  const { stream, output, over } = streamOf(0)
  stream.start(output)
  stream.follow({ chunked: true, last: false, closing: true, lastEventId: '9', heartbeatAtMs: null })
  stream.close()
  t.same([output.calls, stream.lastEventId, stream.record().closing], [['finish'], '9', true])
  stream.over()
  t.same(over, ['over', 'closed'])
})
