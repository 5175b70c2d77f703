/** unix(7): descriptors in flight between the processes of one user count against the sender's RLIMIT_NOFILE. */
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { compiled, startChild } from '../harness/child.js'
import { serving, wrongLines } from '../harness/stream.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const LIMIT = 300
/** Of a user nobody else is: root is not counted. */
const UNPRIVILEGED = ['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups', '--no-new-privs']
const isMissing = [UNPRIVILEGED[0]!, 'prlimit'].find((program) => spawnSync(program, ['--version']).error !== undefined)
const skip =
  process.getuid?.() !== 0
    ? 'needs root, to run a process as another user'
    : isMissing !== undefined && `needs ${isMissing} (util-linux)`

t.test(
  'a user with too much in flight is refused, with the limit; afterwards the next upgrade works',
  { skip },
  async (t) => {
    const limited = [...UNPRIVILEGED, 'prlimit', `--nofile=${LIMIT}:${LIMIT}`]
    const one = await serving(t, { wrapper: limited, clients: 50 })
    const other = startChild(t, UNPRIVILEGED[0]!, [
      ...UNPRIVILEGED.slice(1),
      process.execPath,
      compiled('test/fixtures/in-flight.js'),
      String(LIMIT + 100),
    ])
    await other.line(/^in flight$/)
    const refused = await one.supervisor.upgrade()
    t.equal(refused.exitCode, 3, JSON.stringify(refused.json))
    t.match(refused.json, {
      outcome: 'refused',
      reasons: [{ of: 'upgrade', reason: /descriptors in flight .* \(RLIMIT_NOFILE, soft, is 300\)/ }],
    })
    await other.kill('SIGTERM')
    const moved = await one.supervisor.upgrade()
    t.equal(moved.exitCode, 0, JSON.stringify(moved.json))
    t.equal(moved.json?.sessions.moved, 50)
    await one.load.finish()
    t.same(wrongLines(one), [])
  },
)
