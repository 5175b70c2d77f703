/** A supervisor as a service of a real systemd: what `systemctl` shows and does, through deaths of everything. */
import t, { type Test } from 'tap'
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
const upgradeWorks = async (t: Test): Promise<void> => {
  const before = await web.servingPid()
  const { code, stderr } = await machine.run('systemctl', 'reload', unit)
  t.equal(code, 0, `reload: ${stderr}`)
  t.not(await web.servingPid(), before, 'and another process serves')
}

t.test('the unit is one that systemd understands, and it starts when the first generation serves', async (t) => {
  const { code, stdout, stderr } = await machine.run('systemd-analyze', 'verify', unit)
  // It looks for manual pages and units that this small system does not have.
  t.notMatch(stdout + stderr, /handover-web\.service:\d+|Unknown|Failed to parse/, stdout + stderr)
  t.equal(code, 0)
  await machine.must('systemctl', 'start', unit)
  const [oracle] = await web.connect(1)
  oracle?.send(100)
  await oracle?.finish()
  t.equal(await property('ActiveState'), 'active')
  t.equal(await property('SubState'), 'running')
  t.equal(await property('NRestarts'), '0')
  const { pid, generations } = await web.status()
  t.equal(await property('MainPID'), String(pid))
  t.match(
    await property('StatusText'),
    new RegExp(`^generation 1 \\(1, Node \\S+, pid ${generations[0]?.pid}\\) serves`),
  )
})

t.test('systemctl reload is an upgrade: 50 of them under load', async (t) => {
  const before = await property('MainPID')
  const load = drive(await web.connect(8, 2_000_000))
  const prober = new Prober(web.port).start()
  for (let count = 0; count < 50; count++) await machine.must('systemctl', 'reload', unit)
  await prober.stop()
  await load.stop()
  t.same(prober.refused, [], `${prober.made} new connections, by ${prober.generations.length} generations`)
  const { lastUpgrade, generations } = await web.status()
  t.match(lastUpgrade, { id: 50, outcome: 'committed' })
  t.equal(generations.length, 1)
  t.equal(await property('MainPID'), before)
  t.equal(await property('SubState'), 'running')
  await machine.becomes(unit, 'StatusText', /^generation 51 .*; upgrade 50 committed$/)
})

t.test('an upgrade that is refused fails the reload, and the service goes on', async (t) => {
  const load = drive(await web.connect(2))
  const before = await web.servingPid()
  web.release('--version', '2', '--no-migrations')
  const { code, stderr } = await machine.run('systemctl', 'reload', unit)
  t.not(code, 0)
  t.match(stderr, /failed/i)
  t.equal(await property('ActiveState'), 'active')
  t.equal(await property('SubState'), 'running')
  t.equal(await property('NRestarts'), '0')
  t.match(await property('StatusText'), /; upgrade 51 refused: /)
  t.match(await machine.journal(unit), /"outcome":"refused"/)
  t.equal(await web.servingPid(), before)
  web.release()
  await upgradeWorks(t)
  await load.stop()
})

t.test('a runtime that is killed is started again, and no connection is refused', async (t) => {
  const before = await web.servingPid()
  const prober = new Prober(web.port).start()
  await machine.must('kill', '-KILL', String(before))
  await machine.becomes(unit, 'StatusText', /^generation 5\d .*serves/)
  const after = await web.servingPid()
  t.not(after, before)
  await prober.stop()
  // Those the killed process had accepted are gone with it.
  t.ok(
    prober.refused.every(({ message }) => /ECONNRESET|answered with ""/.test(message)),
    String(prober.refused),
  )
  t.equal(await property('NRestarts'), '0')
  await upgradeWorks(t)
})

for (const [what, restarts, act] of [
  ['systemctl restart', 0, () => machine.must('systemctl', 'restart', unit)],
  ['a SIGKILL of the supervisor', 1, () => machine.must('systemctl', 'kill', '--kill-who=main', '-s', 'KILL', unit)],
  [
    'a supervisor that hangs: the watchdog',
    2,
    () => machine.must('systemctl', 'kill', '--kill-who=main', '-s', 'STOP', unit),
  ],
  ['a runtime that hangs: the watchdog', 3, async () => machine.must('kill', '-STOP', String(await web.servingPid()))],
] as const) {
  t.test(`${what}: another supervisor with the same listening sockets`, async (t) => {
    const before = await property('MainPID')
    const [{ cookie } = { cookie: '' }] = (await web.status()).listeners
    const prober = new Prober(web.port).start()
    await act()
    await machine.becomes(unit, 'MainPID', new RegExp(`^(?!(0|${before})$)`))
    await machine.becomes(unit, 'SubState', 'running')
    t.equal(await property('NRestarts'), String(restarts))
    t.equal((await web.status()).listeners[0]?.cookie, cookie, 'the same socket, in the view of the kernel')
    await prober.stop()
    t.notMatch(String(prober.refused), /ECONNREFUSED/)
    await upgradeWorks(t)
    t.equal(await property('NFileDescriptorStore'), '1')
  })
}

t.test('systemctl stop ends all in order', async (t) => {
  const load = await web.connect(1)
  await machine.must('systemctl', 'stop', unit)
  t.equal(await property('Result'), 'success')
  t.equal(await property('ExecMainStatus'), '0')
  t.equal(await property('NFileDescriptorStore'), '0')
  t.match(await machine.journal(unit), /"msg":"supervisor ended"\}\n[^\n]*Deactivated successfully/)
  await t.rejects(new Promise((_, reject) => web.connect(1).catch(reject)), /ECONNREFUSED/)
  for (const { socket } of load) socket.destroy()
})

t.test('a release that never comes up ends in a clear failure', async (t) => {
  const bad = await installService(machine, 'bad')
  bad.release('--fault', 'crash')
  const { code } = await machine.run('systemctl', 'start', bad.unit)
  t.not(code, 0)
  t.match(await machine.journal(bad.unit), /crashed 5 times in a row; the last one exited with code 41/)
  await machine.must('systemctl', 'stop', bad.unit)
  const { code: none } = await machine.run('node', CLI, 'status', '--name', 'bad')
  t.equal(none, 5)
})
