/** The README's blocks are run as a user would: in a directory of their own, with the package installed. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { compiled, startChild } from '../harness/child.js'
import { ask, lineOf } from '../harness/lines.js'
import { keepAlive, webSocket } from '../harness/one-connection.js'
import { startSupervisor } from '../harness/supervisor.js'
import { within } from '../harness/timeout.js'
import { blocksOf, root, sourceFiles } from './source.js'

const js = blocksOf('README.md')
  .filter(({ language }) => language === 'js')
  .map(({ code }) => code)
const sh = blocksOf('README.md')
  .filter(({ language }) => language === 'sh')
  .map(({ code }) => code)
const readme = readFileSync(`${root}README.md`, 'utf8')

/** A directory with the package in its node_modules, and `npx` that finds it. */
function project(t: Test): { folder: string; env: NodeJS.ProcessEnv } {
  const folder = mkdtempSync(join(tmpdir(), 'handover-readme-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'node_modules', '.bin'), { recursive: true })
  symlinkSync(root, join(folder, 'node_modules', 'handover'))
  symlinkSync(compiled('src/cli/main.js'), join(folder, 'node_modules', '.bin', 'handover'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "name": "readme", "version": "1.0.0" }')
  writeFileSync(join(folder, 'server.js'), (js[0] ?? '').replace('port: 4000', 'port: 0').replace(/$/, ANNOUNCE))
  return { folder, env: { XDG_RUNTIME_DIR: folder, npm_config_update_notifier: 'false' } }
}

// The README's port may be taken on a test machine: the kernel chooses one, and the server says which.
const ANNOUNCE = "\nconsole.log('port ' + server.address().port)\n"

t.test('the README has the blocks this test knows', async (t) => {
  t.equal(js.length, 6)
  t.equal(sh.length, 2)
  t.match(js[0], /^\/\/ server\.js\n/)
  const lines = (js[0] ?? '')
    .trim()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('//') && !line.startsWith('import'))
  t.ok(lines.length <= 15, `the fifteen lines are ${lines.length}, beside the imports`)
})

t.test('fifteen lines: run, upgrade, status, stop', async (t) => {
  const { folder, env } = project(t)
  const run = startChild(t, 'bash', ['-c', `exec ${sh[0]?.trim()}`], { cwd: folder, env })
  const port = Number((await run.line(/^port (\d+)$/))[1])
  const client = lineOf(t, port)
  const first = await ask(client, '')
  t.match(first, /^1 from process \d+$/)
  const [upgrade, ...rest] = (sh[1] ?? '').trim().split('\n')
  const upgraded = startChild(t, 'bash', ['-c', upgrade ?? ''], { cwd: folder, env })
  t.same(await within(upgraded.closed, 'the end of the upgrade'), { code: 0, signal: null }, upgraded.lines.join('\n'))
  t.ok(
    upgraded.lines.some((line) => /sessions +1 moved, 0 drained, 0 dropped, 0 refused/.test(line)),
    upgraded.lines.join('\n'),
  )
  const second = await ask(client, '')
  t.match(second, /^2 from process \d+$/, 'the same connection goes on counting')
  t.not(second.slice(2), first.slice(2), 'in another process')
  for (const command of rest) {
    const child = startChild(t, 'bash', ['-c', command], { cwd: folder, env })
    t.same(await within(child.closed, command), { code: 0, signal: null }, child.lines.join('\n'))
  }
  t.equal((await within(run.closed, 'the end of the supervisor')).code, 0)
})

for (const [index, what] of [
  [1, 'versions'],
  [3, 'a shorter pause'],
] as const) {
  t.test(`${what}: the declaration is accepted`, async (t) => {
    const { folder, env } = project(t)
    const prelude =
      "import { join } from 'handover'\nconst runtime = await join()\nconst attach = (socket, session) => session\n"
    writeFileSync(join(folder, 'declare.js'), `${prelude}${js[index]}`)
    const child = startChild(t, process.execPath, ['declare.js'], { cwd: folder, env })
    t.same(await within(child.closed, 'its end'), { code: 0, signal: null }, child.lines.join('\n'))
  })
}

t.test('a field that was forgotten: recorded, then held, then found out', async (t) => {
  const { folder } = project(t)
  const player = (fields: string) => `
    export const newPlayer = () => ({ ${fields} })
    export const player = { version: 1, capture: (socket, player) => player, restore: (socket, player) => player }`
  writeFileSync(join(folder, 'shapes.test.js'), js[2] ?? '')
  const run = async (fields: string, env: NodeJS.ProcessEnv = {}) => {
    writeFileSync(join(folder, 'player.js'), player(fields))
    const child = startChild(t, process.execPath, ['--test', 'shapes.test.js'], { cwd: folder, env })
    const { code } = await within(child.closed, 'its end')
    return { code, output: child.lines.join('\n') }
  }
  const before = "name: 'ada', room: null"
  t.match(await run(before), { code: 1, output: /HANDOVER_SHAPE_UNKNOWN/ })
  t.match(await run(before, { HANDOVER_RECORD_SHAPES: '1' }), { code: 0 })
  t.match(await run(before), { code: 0 })
  t.match(await run(`${before}, age: 3`), { code: 1, output: /version 1: state\.age appeared \(number\)/ })
})

t.test('a web server: an HTTP connection and a WebSocket go on in another process', async (t) => {
  const { folder } = project(t)
  symlinkSync(`${root}node_modules/ws`, join(folder, 'node_modules', 'ws'))
  const announce = "\nconsole.log('port ' + server.address().port)\n"
  writeFileSync(join(folder, 'web.js'), (js[4] ?? '').replace('port: 8080', "port: 0, host: '127.0.0.1'") + announce)
  const supervisor = startSupervisor(t, { command: ['node', join(folder, 'web.js')] })
  const port = Number((await supervisor.child.line(/^port (\d+)$/))[1])
  const [http, socket] = [keepAlive(port), await webSocket(port)]
  t.teardown(() => {
    for (const client of [http, socket]) client.close()
  })
  const pid = async () => (await http.ask()).replace('process ', '').trim()
  const first = await pid()
  t.equal(await socket.ask(), `${first}: who`)
  t.match((await supervisor.upgrade()).json, { outcome: 'committed', sessions: { moved: 2, drained: 0, dropped: 0 } })
  const second = await pid()
  t.not(second, first)
  t.equal(await socket.ask(), `${second}: who`)
  t.equal((await supervisor.stop()).exitCode, 0)
})

t.test('as a library', async (t) => {
  const { folder, env } = project(t)
  writeFileSync(join(folder, 'supervise.js'), js[5] ?? '')
  const child = startChild(t, process.execPath, ['supervise.js'], { cwd: folder, env })
  t.same(await within(child.closed, 'its end'), { code: 0, signal: null }, child.lines.join('\n'))
  t.ok(
    child.lines.some((line) => line.startsWith('committed {')),
    child.lines.join('\n'),
  )
})

t.test('each guarantee has a test of its name', async (t) => {
  const promised = [...readme.matchAll(/^\d\. \*\*(.+?)[.:]\*\*/gms)].map(([, name]) =>
    (name as string).replace(/\s+/g, ' '),
  )
  const tests = sourceFiles('test/process').find(({ path }) => path.endsWith('guarantees.test.ts'))?.text ?? ''
  t.equal(promised.length, 7)
  for (const name of promised) t.ok(tests.includes(`t.test('${name}'`), name)
})

t.test('links to files lead somewhere', async (t) => {
  for (const [, target] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g))
    t.ok(existsSync(`${root}${target}`), String(target))
})
