/** The server of docs/programs.md is run as it says. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { NO_PYTHON } from '../harness/programs.js'
import { startSupervisor } from '../harness/supervisor.js'
import { blocksOf } from './source.js'

const python = blocksOf('docs/programs.md').find(({ language }) => language === 'python')!.code

t.test('a server by hand', { skip: NO_PYTHON }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'handover-docs-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'server.py')
  writeFileSync(file, python)
  const supervisor = startSupervisor(t, { command: ['python3', file], options: ['--listen', 'http=127.0.0.1:0'] })
  await supervisor.child.line(/"msg":"serving"/)
  const status = async () =>
    (await supervisor.status()).json as { listeners: { address: string }[]; generations: { said: string }[] }
  const { listeners, generations } = await status()
  t.match(generations, [{ said: 'STATUS=serving' }])
  const answer = async () => (await fetch(`http://${listeners[0]!.address}/`)).text()
  const first = await answer()
  t.match(first, /^from process \d+\n$/)
  const { exitCode, json } = await supervisor.upgrade()
  t.equal(exitCode, 0)
  t.match(json, { sessions: { dropped: 0 } })
  t.not(await answer(), first)
  t.equal((await supervisor.stop()).exit.code, 0)
  t.same(supervisor.processes(), [])
})
