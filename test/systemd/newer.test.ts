/** systemd 253 and newer know Type=notify-reload: an upgrade is a reload there, whoever has asked for it. */
import t from 'tap'
import { Prober } from '../harness/prober.js'
import { bootMachine, CLI, newerSystemd, noMachine } from './harness/machine.js'
import { drive, installService } from './harness/service.js'

const tree = noMachine === false ? newerSystemd() : undefined
if (tree === undefined) {
  t.plan(0, noMachine || 'a newer systemd is not in the cache (HANDOVER_SYSTEMD_CACHE), and could not be fetched')
  process.exit(0)
}

const machine = await bootMachine(t, tree)
const web = await installService(machine, 'web', ['--drain', '2s'])
const { unit } = web

t.test('it has the drop-in, and reloads under load', async (t) => {
  t.ok(machine.version >= 253, `systemd ${machine.version}`)
  t.equal(await machine.property(unit, 'Type'), 'notify-reload')
  await machine.must('systemctl', 'start', unit)
  const load = drive(await web.connect(4, 1_000_000))
  const prober = new Prober(web.port).start()
  for (let count = 0; count < 10; count++) await machine.must('systemctl', 'reload', unit)
  await prober.stop()
  await load.stop()
  t.same(prober.refused, [])
  t.match((await web.status()).lastUpgrade, { id: 10, outcome: 'committed' }, 'one upgrade for each reload')
  t.equal(await machine.property(unit, 'SubState'), 'running')
  t.equal(await machine.property(unit, 'NRestarts'), '0')
})

t.test('an upgrade that is refused fails the reload there, too', async (t) => {
  web.release('--version', '2', '--no-migrations')
  // It ends one way or the other only with a session in its way.
  const [oracle] = await web.connect(1)
  oracle?.send(10)
  await oracle?.reach(10)
  const { code, stderr } = await machine.run('systemctl', 'reload', unit)
  t.not(code, 0, stderr)
  t.equal(await machine.property(unit, 'ActiveState'), 'active')
  t.equal(await machine.property(unit, 'SubState'), 'running')
  t.match(await machine.property(unit, 'StatusText'), /upgrade 11 refused/)
  web.release()
  await oracle?.finish()
})

t.test('an upgrade that the command asks for is a reload, too', async (t) => {
  await machine.must('node', CLI, 'upgrade', '--name', 'web')
  t.match(await machine.journal(unit), /"upgrade":12,"outcome":"committed"/)
  t.equal(await machine.property(unit, 'SubState'), 'running')
})

t.test('a restart keeps the listening sockets', async (t) => {
  const [before] = (await web.status()).listeners
  await machine.must('systemctl', 'restart', unit)
  t.equal((await web.status()).listeners[0]?.cookie, before?.cookie)
  await machine.must('systemctl', 'reload', unit)
  await machine.must('systemctl', 'stop', unit)
  t.equal(await machine.property(unit, 'Result'), 'success')
})

t.test('live sessions over a restart, and over the death of the supervisor', async (t) => {
  const kept = await installService(machine, 'kept', ['--keep', 'sessions', '--drain', '2s'])
  await machine.must('systemctl', 'start', kept.unit)
  const load = drive(await kept.connect(20, 500_000))
  await machine.must('systemctl', 'restart', kept.unit)
  const [before, pid] = [await machine.property(kept.unit, 'MainPID'), await kept.servingPid()]
  await machine.must('systemctl', 'kill', '--kill-whom=main', '-s', 'KILL', kept.unit)
  await machine.becomes(kept.unit, 'MainPID', new RegExp(`^(?!(0|${before})$)`))
  await machine.becomes(kept.unit, 'SubState', 'running')
  t.equal(await kept.servingPid(), pid, 'the same process serves')
  await machine.must('systemctl', 'reload', kept.unit)
  await machine.must('systemctl', 'restart', kept.unit)
  t.match((await kept.status()).generations, [{ state: 'serving', sessions: { stream: 20 } }])
  await load.stop()
  await machine.must('systemctl', 'stop', kept.unit)
  t.equal(await machine.property(kept.unit, 'NFileDescriptorStore'), '0')
})
