/** What the harness says of processes is true: output, ends, descendants, descriptors, paths. */

import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { descriptorSorts, isRunning, listenerInode, pathsUnder, processesMarked, zombiesOf } from './census.js'
import { cleanEnvironment, startChild } from './child.js'
import { until, within } from './timeout.js'

const node = process.execPath

t.test('a child announces itself, is asked for facts, and its end is known', async (t) => {
  const child = startChild(t, node, [
    '-e',
    'console.log("ready port=7"); process.stdin.once("data", () => process.exit(3))',
  ])
  t.equal((await child.line(/^ready port=(\d+)$/))[1], '7')
  child.write('go\n')
  t.same(await child.closed, { code: 3, signal: null })
  t.equal(child.hasExited, true)
  await t.rejects(child.line(/never said/), /ended without a line like \/never said\/:\nready port=7/)
})

t.test('a child that goes on is killed by pid when its test ends', async (t) => {
  let pid = 0
  await t.test('starts it', async (t) => {
    const child = startChild(t, node, ['-e', 'console.log("up"); setInterval(() => {}, 1000)'])
    await child.line(/^up$/)
    pid = child.pid
    t.equal(isRunning(pid), true)
    await t.rejects(child.line(/more/, 0, 1), /not within 1 ms: a line like \/more\/ of process \d+; it said:\nup/)
  })
  t.equal(isRunning(pid), false)
  t.same(zombiesOf(process.pid), [])
})

t.test('a program that is not there is an error, not a crash', async (t) => {
  t.throws(() => startChild(t, '/nowhere/program', []), /could not be started/)
})

t.test('descendants are found by the mark they inherit, whoever their parent is', async (t) => {
  const mark = `HANDOVER_TEST_MARK=${process.pid}-${Date.now()}`
  const [name, value] = mark.split('=') as [string, string]
  const script = `require("child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { detached: true, stdio: "ignore" }).unref(); console.log("up")`
  const child = startChild(t, node, ['-e', script], { env: { [name]: value } })
  await child.closed
  const orphans = processesMarked(mark)
  t.equal(orphans.length, 1)
  for (const { pid } of orphans) process.kill(pid, 'SIGKILL')
  await until(() => processesMarked(mark).length === 0, 'the end of the orphan')
})

t.test('the environment of a child has nothing of tap', (t) => {
  t.same(
    Object.keys(cleanEnvironment({ OWN: '1' })).filter((name) => /^TAP|^NODE_OPTIONS$/.test(name)),
    [],
  )
  t.equal(cleanEnvironment({ OWN: '1' })['OWN'], '1')
  t.end()
})

t.test('descriptors, listeners and paths', async (t) => {
  const before = descriptorSorts(process.pid)
  const descriptor = openSync('/dev/null', 'r')
  t.equal(descriptorSorts(process.pid)['/dev/null'], (before['/dev/null'] ?? 0) + 1)
  closeSync(descriptor)
  t.same(descriptorSorts(process.pid), before)

  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  t.match(listenerInode(port), /^\d+$/)
  server.close()
  await once(server, 'close')
  t.equal(listenerInode(port), undefined)

  const folder = mkdtempSync(join(tmpdir(), 'handover-census-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'a'))
  writeFileSync(join(folder, 'a', 'b'), '')
  t.same(pathsUnder(folder), ['a', 'a/b'])
  t.same(pathsUnder(join(folder, 'nowhere')), [])
})

t.test('a timeout names what was waited for', async (t) => {
  await t.rejects(within(new Promise(() => undefined), 'the end of time', 1), /not within 1 ms: the end of time/)
  await t.rejects(
    until(
      () => false,
      () => 'a fact',
      1,
    ),
    /not within 1 ms: a fact/,
  )
  t.equal(await within(Promise.resolve(7), 'seven'), 7)
})
