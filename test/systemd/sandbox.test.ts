/** A service without rights of its own, in the sandbox; sockets that systemd binds. */
import t from 'tap'
import { freePort } from '../harness/port.js'
import { Prober } from '../harness/prober.js'
import { bootMachine, CLI, noMachine } from './harness/machine.js'
import { drive, installService } from './harness/service.js'

if (noMachine !== false) {
  t.plan(0, noMachine)
  process.exit(0)
}

const machine = await bootMachine(t)

t.test('DynamicUser, and the sandbox on: it starts, reloads, restarts', async (t) => {
  const web = await installService(machine, 'plain', ['--dynamic-user', '--drain', '2s'])
  await machine.must('systemctl', 'start', web.unit)
  const pid = await web.servingPid()
  const [, uid] = /^Uid:\s+(\d+)/m.exec(await machine.must('cat', `/proc/${pid}/status`)) ?? []
  t.ok(Number(uid) >= 61184 && Number(uid) <= 65519, `user ${uid} is one of those systemd makes up`)
  t.match(await machine.must('cat', `/proc/${pid}/status`), /^NoNewPrivs:\s+1$/m)
  t.match(await machine.must('cat', `/proc/${pid}/status`), /^Seccomp:\s+2$/m)
  const load = drive(await web.connect(16, 1_000_000))
  for (let count = 0; count < 3; count++) await machine.must('systemctl', 'reload', web.unit)
  await load.stop()
  t.match((await web.status()).lastUpgrade, { id: 3, outcome: 'committed', sessions: { moved: 16 } })
  const [before] = (await web.status()).listeners
  const prober = new Prober(web.port).start()
  await machine.must('systemctl', 'restart', web.unit)
  await prober.stop()
  t.notMatch(String(prober.refused), /ECONNREFUSED/)
  t.equal((await web.status()).listeners[0]?.cookie, before?.cookie)
  await machine.must('systemctl', 'reload', web.unit)
  await machine.must('systemctl', 'stop', web.unit)
})

t.test('a socket unit: the first connection starts the service, and a stop of it refuses none', async (t) => {
  const port = await freePort()
  const web = await installService(machine, 'lazy', ['--socket', `stream=127.0.0.1:${port}`, '--drain', '2s'], port)
  await machine.must('systemctl', 'start', 'handover-lazy.socket')
  t.equal(await machine.property(web.unit, 'ActiveState'), 'inactive')
  const [oracle] = await web.connect(1)
  oracle?.send(1000)
  await oracle?.finish()
  t.equal(await machine.property(web.unit, 'ActiveState'), 'active')
  const load = drive(await web.connect(2))
  await machine.must('systemctl', 'reload', web.unit)
  await load.stop()
  const prober = new Prober(port).start()
  await machine.must('systemctl', 'stop', web.unit)
  await machine.becomes(web.unit, 'SubState', 'running')
  await prober.stop()
  t.notMatch(String(prober.refused), /ECONNREFUSED/, 'the next connection has started it again')
  await machine.must('systemctl', 'stop', 'handover-lazy.socket', web.unit)
})

t.test('a socket unit for another address than the server asks for', async (t) => {
  const [port, other] = [await freePort(), await freePort()]
  const web = await installService(machine, 'wrong', ['--socket', `stream=127.0.0.1:${port}`], other)
  await machine.must('systemctl', 'start', 'handover-wrong.socket')
  const { code } = await machine.run('systemctl', 'start', web.unit)
  t.not(code, 0)
  t.match(
    await machine.journal(web.unit),
    new RegExp(
      `listener \\\\*"stream\\\\*" is kept on 127\\.0\\.0\\.1:${port} by the supervisor \\(a socket unit\\), and was asked for on 127\\.0\\.0\\.1:${other}`,
    ),
  )
  await machine.must('systemctl', 'stop', 'handover-wrong.socket', web.unit)
  t.equal((await machine.run('node', CLI, 'status', '--name', 'wrong')).code, 5)
})
