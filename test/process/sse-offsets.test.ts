import t from 'tap'
import { cutEverywhere, WHOLE } from '../harness/event-cuts.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

t.test(`a stream's connection cut at each of ${WHOLE} bytes`, (t) => cutEverywhere(t))

t.test('the same where the connections of the server move, too', (t) => cutEverywhere(t, ['--http']))
