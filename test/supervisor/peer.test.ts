/** Who answers at the path of an admin socket: a command takes the word of root's and its own user's supervisor only. */

import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { maySupervise } from '../../src/supervisor/peer.js'
import { compiled, startChild, startNode } from '../harness/child.js'
import { runCli } from '../harness/cli.js'

const isRoot = process.geteuid?.() === 0
const notRoot = !isRoot && 'only root can become somebody else'
const [NOBODY, STRANGER] = [65_534, 65_533]

/** A path with room for a socket's: of a test directory's 107 bytes are left too few. */
function shortFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'handover-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

t.test('root takes what it has named; others root and themselves', async (t) => {
  const own = process.geteuid?.() ?? -1
  t.ok(maySupervise({ pid: 1, uid: 0, gid: 0 }))
  t.ok(maySupervise({ pid: 1, uid: own, gid: 0 }))
  t.equal(maySupervise({ pid: 1, uid: STRANGER, gid: 0 }), isRoot)
})

t.test('a stranger who was there first is not believed', { skip: notRoot }, async (t) => {
  const folder = shortFolder(t)
  mkdirSync(join(folder, 'handover/default'), { recursive: true })
  const path = join(folder, 'handover/default/admin.sock')
  for (const each of [folder, join(folder, 'handover')]) chmodSync(each, 0o755)
  let asked = 0
  const server = createServer((socket) => {
    socket.on('data', () => {
      asked++
      socket.end(`${JSON.stringify({ result: { stopped: true } })}\n`)
    })
    socket.on('error', () => undefined)
  })
  // The kernel keeps whose the socket was when it began to listen.
  process.seteuid?.(0)
  chownSync(join(folder, 'handover/default'), STRANGER, STRANGER)
  process.setegid?.(STRANGER)
  process.seteuid?.(STRANGER)
  try {
    server.listen(path)
    await once(server, 'listening')
    chmodSync(path, 0o777)
  } finally {
    process.seteuid?.(0)
    process.setegid?.(0)
  }
  t.teardown(() => server.close())
  const stop = startChild(t, process.execPath, [compiled('src/cli/main.js'), 'stop'], {
    env: { XDG_RUNTIME_DIR: folder },
    owner: { uid: NOBODY, gid: NOBODY },
  })
  t.equal((await stop.closed).code, 5)
  t.match(
    stop.lines.join('\n'),
    /no supervisor "default": user 65533 answers at .*admin\.sock, who is neither root nor this user/,
  )
  t.equal(asked, 0, 'it is not even asked')
  const { code, stdout } = await runCli(['stop', '--json'], { XDG_RUNTIME_DIR: folder })
  t.same([code, stdout], [0, '{"stopped":true}\n'], 'root has named the path')
})

t.test('a lock that is a link is not followed', async (t) => {
  const folder = shortFolder(t)
  writeFileSync(join(folder, 'victim'), 'precious')
  const inner = join(folder, 'handover/default')
  mkdirSync(inner, { recursive: true, mode: 0o700 })
  for (const path of [join(folder, 'handover'), inner]) chmodSync(path, 0o700)
  symlinkSync(join(folder, 'victim'), join(inner, 'lock'))
  const run = startNode(t, 'src/cli/main.js', ['run', '--json', '--', 'true'], { env: { XDG_RUNTIME_DIR: folder } })
  t.equal((await run.closed).code, 1)
  t.match(run.lines.join('\n'), /HANDOVER_DIRECTORY_UNSAFE|the lock .* cannot be opened/)
  t.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'precious')
})
