/** What a supervisor itself lacks, or cannot do to one process, is not taken out on the others. */
import { rmSync } from 'node:fs'
import t from 'tap'
import { ask } from '../harness/prober.js'
import { serving } from '../harness/stream.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

t.test('the runtime directory goes: what crashes is started again, and the end is in order', async (t) => {
  const { supervisor, port } = await serving(t, { clients: 0 })
  const { pid } = await ask(port)
  rmSync(supervisor.directory, { recursive: true })
  process.kill(pid, 'SIGKILL')
  await supervisor.child.line(/"generation":2,.*another supervisor will not find this process.*ENOENT/)
  await supervisor.child.line(/"generation":2.*"msg":"serving"/)
  t.match(await ask(port), { generation: 2 })
  t.same(await supervisor.child.kill('SIGTERM'), { code: 0, signal: null })
  t.same(supervisor.processes(), [])
})
