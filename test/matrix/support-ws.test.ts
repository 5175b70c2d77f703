/** WebSockets: what moves, by Node and by library. */
import t from 'tap'
import { scaled } from '../harness/timeout.js'
import { rowsOf } from './support/table.js'

t.setTimeout(scaled(110_000))

await rowsOf(t, /^ws$/)
