/** What is understood of sd_notify(3), and what is not. */
import fc from 'fast-check'
import t from 'tap'
import { type Notification, parseNotification } from '../../src/supervisor/notify.js'

const nothing: Notification = { ready: false, stopping: false, reloading: false }
const parse = (text: string): Notification => parseNotification(Buffer.from(text))

for (const [text, said] of [
  ['READY=1', { ready: true }],
  ['READY=1\n', { ready: true }],
  ['READY=1\nSTATUS=serving\nMAINPID=4711', { ready: true, status: 'serving', mainPid: 4711 }],
  ['STOPPING=1', { stopping: true }],
  ['RELOADING=1\nMONOTONIC_USEC=1', { reloading: true }],
  ['RELOADING=1\nREADY=1', { reloading: true, ready: true }],
  ['ERRNO=2', { errno: 2 }],
  ['EXTEND_TIMEOUT_USEC=1500000', { extendMs: 1500 }],
  ['EXTEND_TIMEOUT_USEC=9007199254740991', { extendMs: 86_400_000 }],
  ['STATUS=a=b', { status: 'a=b' }],
  ['STATUS=', { status: '' }],
  ['STATUS=\x1b[31mred\x07\u202e', { status: '[31mred' }],
  [`STATUS=${'x'.repeat(1000)}`, { status: 'x'.repeat(256) }],
  ['READY=0\nREADY=1', { ready: true }],
  ['READY=1\nREADY=0', {}],
  ['READY=1 ', {}],
  ['ready=1', {}],
  [' READY=1', {}],
  ['READY', {}],
  ['=1', {}],
  ['', {}],
  ['READY=1\r\n', {}],
  ['WATCHDOG=1', {}],
  ['FDSTORE=1\nFDNAME=x', {}],
  ['BARRIER=1', {}],
  ['X_OWN=1', {}],
  ['MAINPID=-1', {}],
  ['MAINPID=1e3', {}],
  ['MAINPID=99999999', {}],
  ['EXTEND_TIMEOUT_USEC=-1', {}],
  ['EXTEND_TIMEOUT_USEC=99999999999999999999', {}],
  ['ERRNO=x', {}],
  ['ERRNO=4096', {}],
] as const) {
  t.test(JSON.stringify(text.slice(0, 60)), async (t) => t.strictSame(parse(text), { ...nothing, ...said }))
}

t.test('any bytes are read to their end, and only READY=1 is ready', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4096 }), (bytes) => {
      const { ready, status = '', errno = 0, mainPid = 0, extendMs = 0 } = parseNotification(bytes)
      const lines = Buffer.from(bytes).toString('utf8').split('\n')
      return (
        ready === (lines.findLast((line) => line.startsWith('READY=')) === 'READY=1') &&
        status.length <= 256 &&
        [errno, mainPid, extendMs].every((number) => number >= 0 && number <= 86_400_000)
      )
    }),
  )
  t.pass('held')
})
