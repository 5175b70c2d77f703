/** Events as bytes, read back by a parser of the standard's that somebody else has written. */
import { createParser } from 'eventsource-parser'
import t from 'tap'
import { formatComment, formatEvent, type ServerEvent } from '../../src/adapters/sse/format.js'
import { fromRow, toRow } from '../../src/adapters/sse/record.js'

function parsed(bytes: Uint8Array) {
  const events: unknown[] = []
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onComment: (comment) => events.push({ comment }),
    onRetry: (retryMs) => events.push({ retryMs }),
    onError: (error) => events.push({ error: String(error) }),
  })
  parser.feed(new TextDecoder().decode(bytes))
  return events
}

t.test('what is written is what a client reads', async (t) => {
  const cases: [ServerEvent, unknown[]][] = [
    [{ data: 'one' }, [{ data: 'one' }]],
    [{ data: '' }, [{ data: '' }]],
    [{ data: ' two\n\nlines: x\r\nand\rmore' }, [{ data: ' two\n\nlines: x\nand\nmore' }]],
    [{ data: { a: [1, 'é\n'] } }, [{ data: '{"a":[1,"é\\n"]}' }]],
    [{ data: null }, [{ data: 'null' }]],
    [{ event: 'tick', id: 7, data: 1 }, [{ event: 'tick', id: '7', data: '1' }]],
    [{ id: 2n ** 64n, data: 'x' }, [{ id: '18446744073709551616', data: 'x' }]],
    [{ event: '', data: 'x' }, [{ data: 'x' }]],
    [{ retryMs: 1500 }, [{ retryMs: 1500 }]],
    [{ id: 'only' }, []],
  ]
  for (const [event, expected] of cases) t.match(parsed(formatEvent(event)), expected, JSON.stringify(expected))
  t.equal(String(formatEvent({ id: 'only' })), 'id: only\n\n')
  t.equal(String(formatComment('')), ':\n\n')
  t.same(parsed(formatComment('two\nlines')), [{ comment: 'two' }, { comment: 'lines' }])
})

t.test('what is no event is refused', async (t) => {
  for (const event of [
    { event: 'two\nlines' },
    { id: 'a\rb' },
    { id: 'a\0b' },
    { retryMs: 1.5 },
    { retryMs: -1 },
    { data: () => undefined },
    { data: Symbol('x') },
  ])
    t.throws(() => formatEvent(event), { code: 'HANDOVER_USAGE' })
})

t.test('the row of a stream', async (t) => {
  const record = { chunked: true, last: false, closing: true, lastEventId: '7', heartbeatAtMs: 12.5 }
  t.same(fromRow(toRow(record)), record)
  t.same(fromRow([...toRow(record), 'a later place']), record)
  const other = { chunked: false, last: true, closing: false, lastEventId: '', heartbeatAtMs: null }
  t.same(fromRow(toRow(other)), other)
  for (const row of [
    null,
    {},
    [],
    [0, ''],
    [8, '', null],
    [-1, '', null],
    [0, 1, null],
    [0, '', Number.NaN],
    [0, '', '1'],
  ])
    t.throws(() => fromRow(row), { code: 'HANDOVER_MESSAGE_INVALID' }, JSON.stringify(row))
})
