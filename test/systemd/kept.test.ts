/** Live sessions in the fd store of a real systemd, from one supervisor to the next. */
import t from 'tap'
import { bootMachine, noMachine } from './harness/machine.js'
import { drive, installService } from './harness/service.js'

if (noMachine !== false) {
  t.plan(0, noMachine)
  process.exit(0)
}

const machine = await bootMachine(t)
const web = await installService(machine, 'web', ['--keep', 'sessions', '--drain', '5s'])
const { unit } = web
/** systemd counts starts (StartLimitBurst=): these are too many for it, and too quick. */
const forget = (): Promise<string> => machine.must('systemctl', 'reset-failed', unit)
const property = (name: string): Promise<string> => machine.property(unit, name)

t.test('systemctl restart, five times under load: no session ends, no byte is lost', async (t) => {
  await machine.must('systemctl', 'start', unit)
  const load = drive(await web.connect(40, 500_000))
  for (let count = 0; count < 5; count++) {
    const before = await property('MainPID')
    await forget()
    await machine.must('systemctl', 'restart', unit)
    t.not(await property('MainPID'), before)
    t.equal(await property('NFileDescriptorStore'), '1', 'the listener; what was kept has been taken')
  }
  const { generations } = await web.status()
  t.match(generations, [{ state: 'serving', sessions: { stream: 40 } }], 'and no keeper is left')
  await load.stop()
  t.equal(await property('NRestarts'), '0')
})

t.test('a supervisor that is killed: its runtime goes on, and the next supervisor finds it', async (t) => {
  const load = drive(await web.connect(20, 200_000))
  for (let count = 0; count < 3; count++) {
    const [before, pid] = [await property('MainPID'), await web.servingPid()]
    await forget()
    await machine.must('systemctl', 'kill', '--kill-who=main', '-s', 'KILL', unit)
    await machine.becomes(unit, 'MainPID', new RegExp(`^(?!(0|${before})$)`))
    await machine.becomes(unit, 'SubState', 'running')
    t.equal(await web.servingPid(), pid, 'the same process serves')
  }
  await forget()
  await machine.must('systemctl', 'reload', unit)
  await machine.must('systemctl', 'restart', unit)
  t.match((await web.status()).generations, [{ state: 'serving', sessions: { stream: 20 } }])
  await load.stop()
  t.equal(await property('NRestarts'), '0', 'counted anew since the restart')
})

t.test('and the next upgrade works', async (t) => {
  const load = drive(await web.connect(10))
  await forget()
  await machine.must('systemctl', 'restart', unit)

  await machine.must('systemctl', 'reload', unit)
  await machine.must('systemctl', 'restart', unit)
  t.match((await web.status()).generations, [{ state: 'serving', sessions: { stream: 10 } }])
  await load.stop()
})

t.test('systemctl stop ends all: no process, nothing kept', async (t) => {
  const [one] = await web.connect(1)
  await machine.must('systemctl', 'stop', unit)
  t.equal(await property('Result'), 'success')
  t.equal(await property('NFileDescriptorStore'), '0')
  t.equal(await property('TasksCurrent'), '[not set]')
  one?.socket.destroy()
})

t.test('without rights of its own, and in the sandbox: all of it', async (t) => {
  const plain = await installService(machine, 'plain', ['--keep', 'sessions', '--dynamic-user', '--drain', '2s'])
  await machine.must('systemctl', 'start', plain.unit)
  // More than fit into one bag.
  const idle = await plain.connect(1_500)
  const load = drive(await plain.connect(4, 200_000))
  await machine.must('systemctl', 'restart', plain.unit)
  const pid = await plain.servingPid()
  const before = await machine.property(plain.unit, 'MainPID')
  await machine.must('systemctl', 'kill', '--kill-who=main', '-s', 'KILL', plain.unit)
  await machine.becomes(plain.unit, 'MainPID', new RegExp(`^(?!(0|${before})$)`))
  await machine.becomes(plain.unit, 'SubState', 'running')
  t.equal(await plain.servingPid(), pid)
  await machine.must('systemctl', 'reload', plain.unit)
  await machine.must('systemctl', 'restart', plain.unit)
  t.match((await plain.status()).generations, [{ state: 'serving', sessions: { stream: 1_504 } }])
  await load.stop()
  for (const oracle of idle) oracle.send(10)
  await Promise.all(idle.map((oracle) => oracle.finish()))
  await machine.must('systemctl', 'stop', plain.unit)
})
