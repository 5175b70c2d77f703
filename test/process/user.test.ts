/** `--user` and `--env-file`: a server of another user than its supervisor, upgraded with its sessions. */
import { accessSync, constants, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { compiled, startChild } from '../harness/child.js'
import { Load } from '../harness/load.js'
import { READY, startSupervisor } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const SERVER = compiled('test/fixtures/stream-server.js')

/** A line of /proc/PID/status. */
const statusOf = (pid: number, name: string): string =>
  new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm')
    .exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    ?.replace(/\s+/g, ' ') ?? ''

const environmentOf = (pid: number): string[] => readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')

/** Why the server could not be read by that user here; undefined when it can. */
async function obstacle(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'needs root'
  accessSync(SERVER, constants.R_OK)
  const reads = startChild({ teardown: () => undefined }, 'cat', [SERVER], { owner: { uid: 1, gid: 1 } })
  return (await reads.exited).code === 0 ? undefined : `user 1 may not read ${SERVER}`
}

t.test('the runtimes are of that user, the supervisor is not', { skip: (await obstacle()) ?? false }, async (t) => {
  const file = join(t.testdir({ env: 'RELEASE_COLOUR=green\n' }), 'env')
  const options = ['--user', 'daemon', '--env-file', file]
  const supervisor = startSupervisor(t, { options, command: [process.execPath, SERVER] })
  const [, , , pid, port] = await supervisor.child.line(READY)
  for (const [name, value] of [
    ['Uid', '1 1 1 1'],
    ['Gid', '1 1 1 1'],
    ['Groups', '1'],
    ['CapEff', '0000000000000000'],
  ] as const)
    t.equal(statusOf(Number(pid), name), value, name)
  t.match(statusOf(supervisor.child.pid, 'Uid'), /^0 /)
  for (const line of ['USER=daemon', 'LOGNAME=daemon', 'RELEASE_COLOUR=green'])
    t.ok(environmentOf(Number(pid)).includes(line), line)

  const load = (await Load.open(Number(port), 100)).start()
  writeFileSync(file, 'RELEASE_COLOUR=blue\n')
  for (let upgrade = 1; upgrade <= 3; upgrade++) {
    await load.progress()
    const { json, exitCode } = await supervisor.upgrade()
    t.equal(exitCode, 0)
    t.match(json, { outcome: 'committed', sessions: { dropped: 0, refused: 0 } })
    const next = json?.to.pid ?? 0
    t.equal(statusOf(next, 'Uid'), '1 1 1 1')
    t.ok(environmentOf(next).includes('RELEASE_COLOUR=blue'), 'the file is read at each start')
  }
  rmSync(file)
  t.equal((await supervisor.upgrade()).exitCode, 2, 'nothing is begun with a file that is not there')
  // Node looks for this option of its own among those of a script, too (20 to 26).
  t.equal((await supervisor.upgrade('--env-file', file)).exitCode, 9)
  await load.progress()
  await load.finish()
  t.equal((await supervisor.stop()).exit.code, 0)
  t.same(supervisor.processes(), [])
})
