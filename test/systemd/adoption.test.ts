/** With KillMode=process a supervisor may be killed, and the next one takes its runtimes over: docs/adoption.md. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { root } from '../docs/source.js'
import { Prober } from '../harness/prober.js'
import { bootMachine, CLI, noMachine } from './harness/machine.js'
import { drive, installService } from './harness/service.js'

if (noMachine !== false) {
  t.plan(0, noMachine)
  process.exit(0)
}

const machine = await bootMachine(t)
const web = await installService(machine, 'web', ['--watchdog', '2s', '--drain', '2s'])
const { unit } = web
const property = (name: string): Promise<string> => machine.property(unit, name)

const [, dropIn] = /```ini\n([^`]*)```/.exec(readFileSync(`${root}docs/adoption.md`, 'utf8'))!

t.test('the drop-in of the docs; and the service starts', async () => {
  const path = machine.write('web/adoption.conf', dropIn!)
  await machine.must('mkdir', '-p', `/etc/systemd/system/${unit}.d`)
  await machine.must('cp', path, `/etc/systemd/system/${unit}.d/adoption.conf`)
  await machine.must('systemctl', 'daemon-reload')
  await machine.must('systemctl', 'start', unit)
})

for (const [index, [what, signal]] of (
  [
    ['killed', 'KILL'],
    ['hangs, and the watchdog finds it', 'STOP'],
  ] as const
).entries()) {
  t.test(`a supervisor is ${what}: no connection notices, and the next upgrade works`, async (t) => {
    const before = await property('MainPID')
    const pid = await web.servingPid()
    const load = drive(await web.connect(8, 100_000))
    const prober = new Prober(web.port).start()
    await machine.must('systemctl', 'kill', '--kill-who=main', '-s', signal, unit)
    await machine.becomes(unit, 'MainPID', new RegExp(`^(?!(0|${before})$)`))
    await machine.becomes(unit, 'SubState', 'running')
    t.equal(await property('NRestarts'), String(index + 1))
    t.equal(await web.servingPid(), pid, 'the same runtime')
    await machine.must('systemctl', 'reload', unit)
    t.not(await web.servingPid(), pid)
    t.match((await web.status()).lastUpgrade, { id: index + 1, sessions: { dropped: 0 } })
    await prober.stop()
    await load.stop()
    t.same(prober.refused, [], `${prober.made} new connections`)
  })
}

t.test('another image in the place of the supervisor: the service notices nothing', async (t) => {
  const [before, restarts, stored] = [
    await property('MainPID'),
    await property('NRestarts'),
    await property('NFileDescriptorStore'),
  ]
  const pid = await web.servingPid()
  const load = drive(await web.connect(8, 100_000))
  const prober = new Prober(web.port).start()
  for (const _ of [1, 2, 3]) await machine.must('node', CLI, 'upgrade', '--supervisor', '--name', 'web')
  t.equal(await web.servingPid(), pid)
  await machine.must('systemctl', 'reload', unit)
  t.not(await web.servingPid(), pid)
  t.equal(await property('MainPID'), before)
  t.equal(await property('NRestarts'), restarts)
  t.equal(await property('SubState'), 'running')
  t.equal(await property('NFileDescriptorStore'), stored)
  await machine.becomes(unit, 'StatusText', /^generation \d+ .*serves/)
  await prober.stop()
  await load.stop()
  t.same(prober.refused, [], `${prober.made} new connections`)
})

t.test('systemctl stop ends all in order', async (t) => {
  await machine.must('systemctl', 'stop', unit)
  t.equal(await property('Result'), 'success')
  t.equal(await property('NFileDescriptorStore'), '0')
  const { stdout } = await machine.run('pgrep', '-f', 'server.mjs')
  t.equal(stdout, '', 'no process is left')
})
