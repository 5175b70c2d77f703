/** `systemctl reload` of a release that turns out ill: the job fails, and the release before serves, with every connection. */
import { dirname } from 'node:path'
import t from 'tap'
import { freePort } from '../harness/port.js'
import { bootMachine, CLI, noMachine } from './harness/machine.js'
import { drive, serviceOf } from './harness/service.js'

if (noMachine !== false) {
  t.plan(0, noMachine)
  process.exit(0)
}

const machine = await bootMachine(t)

t.test('an upgrade is undone, and the next one works', async (t) => {
  const [port, healthPort] = [await freePort(), await freePort()]
  const ill = machine.write('trial/ill', '2')
  const server = (release: string, ...args: string[]) =>
    machine.write(
      `trial/${release}/server.mjs`,
      `process.argv.push(...${JSON.stringify(['--release', release, '--port', String(port), '--ill', ill, '--health-port', String(healthPort), ...args])})
await import('/srv/handover/dist/test/fixtures/stream-server.js')
`,
    )
  const first = server('1')
  server('2', '--version', '2')
  const current = `${dirname(dirname(first))}/current`
  const deploy = (release: string) => machine.must('ln', '-sfn', release, current)
  await deploy('1')
  const options = ['--health', `http://127.0.0.1:${healthPort}/`, '--probation', '2s', '--drain', '2s']
  await machine.must(
    'node',
    CLI,
    'unit',
    '--install',
    '--name',
    'trial',
    ...options,
    '--',
    'node',
    `${current}/server.mjs`,
  )
  const web = serviceOf(machine, 'trial', port)
  await machine.must('systemctl', 'start', web.unit)
  const load = drive(await web.connect(8, 100_000))

  await deploy('2')
  const { code, stderr } = await machine.run('systemctl', 'reload', web.unit)
  t.not(code, 0)
  t.match(stderr, /failed/i)
  t.equal(await machine.property(web.unit, 'ActiveState'), 'active')
  t.equal(await machine.property(web.unit, 'NRestarts'), '0')
  t.match(
    await machine.journal(web.unit),
    /"reason":"unhealthy 3 times in a row: .* answered 503".*"msg":"the upgrade is undone"/,
  )
  const { generations, lastUpgrade } = await web.status()
  t.match(generations, [{ generation: 3, release: '1', state: 'serving', sessions: { stream: 8 } }])
  t.match(lastUpgrade, { outcome: 'committed', sessions: { moved: 8, dropped: 0 } })

  machine.write('trial/ill', '')
  await machine.must('systemctl', 'reload', web.unit)
  t.match((await web.status()).generations, [
    { generation: 4, release: '2', state: 'serving', sessions: { stream: 8 } },
  ])
  await load.stop()
  const doctor = await machine.must('node', CLI, 'doctor', '--name', 'trial')
  t.match(doctor, /^ok +unit +handover-trial\.service, active$/m)
  t.match(doctor, /^ok +supervisor +"trial" runs as pid \d+, with 1 processes$/m)
  await machine.must('systemctl', 'stop', web.unit)
})
