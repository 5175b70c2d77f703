/** Unix listeners: their sessions move like any others, and their path belongs to the supervisor. */
import { createSocket } from 'node:dgram'
import { type EventEmitter, once } from 'node:events'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { SupervisorStatus } from '../../src/supervisor/status.js'
import type { Trick } from '../fixtures/puppet-server.js'
import { isRunning } from '../harness/census.js'
import { keystream } from '../harness/keystream.js'
import { PUPPET_SERVER, Puppet, Stage } from '../harness/puppet.js'
import { playAll, type Scenario } from '../harness/scenario.js'
import { startSupervisor } from '../harness/supervisor.js'
import { scaled, until, within } from '../harness/timeout.js'
import { halves } from './scenarios/halves.js'
import { input } from './scenarios/input.js'
import { options } from './scenarios/options.js'
import { output } from './scenarios/output.js'
import { restore } from './scenarios/restore.js'

t.setTimeout(scaled(110_000))

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'handover-unix-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function open(t: Test, args: readonly string[] = []): Promise<Stage & { path: string }> {
  const path = join(folder(t), 'web.sock')
  return (await Stage.start(t, { args: ['--path', path, ...args] })) as Stage & { path: string }
}

const release = (...args: string[]): string[] => ['--', 'node', PUPPET_SERVER, '--release', '2', ...args]
const at = (path: string): Stats | undefined => lstatSync(path, { throwIfNoEntry: false })
const generationOf = async (stage: Stage): Promise<number> => {
  const puppet = await Puppet.open(stage)
  const generation = await puppet.serve((_socket, _session, { generation }) => generation)
  puppet.client.destroy()
  return generation
}

/** Stories of TCP alone: its options, its addresses, its reset. */
const OF_TCP = /^(no-delay|addresses|a connection the client has reset)/
const stories = (scenarios: readonly Scenario[]) => scenarios.filter(({ name }) => !OF_TCP.test(name))

t.test('what moves with a session of TCP moves with one of a path', async (t) => {
  const stage = await open(t)
  await playAll(t, stage, stories([...output, ...input, ...halves, ...options, ...restore]), [
    async () => {
      const { exitCode, json } = await stage.abortedUpgrade()
      t.equal(exitCode, 3)
      t.match(json, { outcome: 'refused', reasons: [{ kind: 'puppet', reason: /sabotage/ }], sessions: { moved: 0 } })
    },
    async () => {
      const { exitCode, json } = await stage.supervisor.upgrade(...release('--path', stage.path))
      t.equal(exitCode, 0)
      t.match(json, { outcome: 'committed', to: { generation: 3 }, sessions: { dropped: 0, refused: 0, drained: 0 } })
    },
  ])
  t.equal((await stage.supervisor.stop()).exitCode, 0)
})

t.test('cut at every byte of both directions', async (t) => {
  const LENGTH = 48
  const stage = await open(t)
  const [up, down] = [keystream(1, 0, LENGTH), keystream(2, 0, LENGTH)]
  const puppets: Puppet[] = []
  for (let offset = 0; offset <= LENGTH; offset++) {
    const puppet = await Puppet.open(stage)
    puppets.push(puppet)
    await puppet.serve((socket, _session, { pattern }, sent) => {
      socket.allowHalfOpen = true
      // Every other one does not read: what has come is in the kernel, or in Node.
      if (sent % 2 === 1) socket.pause()
      if (sent > 0) socket.write(pattern(2, 0, sent))
    }, offset)
    if (offset > 0) puppet.send(up.subarray(0, offset))
    if (offset === LENGTH) puppet.client.end()
  }
  t.equal((await stage.abortedUpgrade()).exitCode, 3)
  t.match(await stage.supervisor.upgrade(), { exitCode: 0, json: { sessions: { moved: LENGTH + 2 } } })
  for (const [offset, puppet] of puppets.entries()) {
    if (offset < LENGTH) puppet.client.end(up.subarray(offset))
    await puppet.serve((socket) => void socket.resume())
    await puppet.sees((socket, session) => session.bytes.length >= 48 && socket.readableEnded)
    const heard = await puppet.serve((_socket, session) => session.bytes.toString('hex'))
    await puppet.serve(
      (socket, _session, { pattern }, sent) => void socket.end(pattern(2, 0, 48).subarray(sent)),
      offset,
    )
    await puppet.isEnded()
    t.ok(
      puppet.received.equals(down) && heard === up.toString('hex'),
      `${offset} bytes before, ${LENGTH - offset} after`,
    )
  }
})

t.test('the path keeps its socket, owner and mode', async (t) => {
  const stage = await open(t, ['--mode', '660'])
  const { path, supervisor } = stage
  const before = at(path)!
  t.equal(before.mode & 0o777, 0o660)
  t.equal(await stage.run(({ unix }) => unix.address()), path)
  const facts = async () => ((await supervisor.status()).json as unknown as SupervisorStatus).listeners
  const cookie = (await facts()).find(({ name }) => name === 'unix')?.cookie
  t.match(await facts(), [{ name: 'stage' }, { name: 'control' }, { name: 'unix', address: path, cookie: /^\d+$/ }])
  const isRoot = process.getuid?.() === 0
  // An operator may give it to others: no release takes that back.
  if (isRoot) chownSync(path, 1, 1)
  chmodSync(path, 0o606)
  const given = at(path)!
  for (const [fails, generation] of [
    [true, 1],
    [false, 3],
    [false, 4],
  ] as const) {
    t.equal((fails ? await stage.abortedUpgrade() : await supervisor.upgrade()).exitCode, fails ? 3 : 0)
    const { ino, mode, uid, gid } = at(path)!
    t.same({ ino, mode, uid, gid }, { ino: before.ino, mode: given.mode, uid: given.uid, gid: given.gid })
    t.equal(await generationOf(stage), generation)
    t.equal(await stage.run(({ unix }) => unix.address()), path, 'the server knows its address')
    t.equal((await facts()).find(({ name }) => name === 'unix')?.cookie, cookie)
  }
  const other = ['--path', path, '--mode', '600']
  const saboteur = await stage.admitSaboteur()
  await saboteur.onRestore(() => {
    throw new Error('sabotage')
  })
  t.equal((await supervisor.upgrade(...release(...other))).exitCode, 3)
  t.equal(at(path)!.mode & 0o777, 0o606, 'a release that does not come has changed nothing')
  await saboteur.onRestore(() => undefined)
  t.equal((await supervisor.upgrade(...release(...other))).exitCode, 0)
  t.equal(at(path)!.mode & 0o777, 0o600, 'one that comes and wants another mode gets it')
  t.equal((await supervisor.stop()).exitCode, 0)
  t.equal(at(path), undefined, 'at its end the supervisor removes it')
})

t.test('a path no release asks for any more is removed; one of a release that does not come, too', async (t) => {
  const stage = await open(t)
  const other = join(folder(t), 'other.sock')
  await (await stage.admitSaboteur()).onRestore(() => {
    throw new Error('sabotage')
  })
  t.equal((await stage.supervisor.upgrade(...release('--path', other))).exitCode, 3)
  t.equal(at(other), undefined)
  t.equal(await generationOf(stage), 1, 'the old path serves on')
  await (await stage.admitSaboteur()).onRestore(() => undefined)
  t.equal((await stage.supervisor.upgrade(...release('--path', other))).exitCode, 0)
  t.equal(at(stage.path), undefined, 'the path of the predecessor')
  t.ok(at(other)?.isSocket())
  t.equal((await stage.supervisor.stop()).exitCode, 0)
  t.equal(at(other), undefined)
})

t.test('the path survives whoever dies', async (t) => {
  const stage = await open(t)
  const { path, supervisor } = stage
  const { ino, ctimeMs } = at(path)!
  const isThere = (what: string) => t.equal(at(path)?.ino, ino, what)
  const ready = (generation: number) => supervisor.child.line(new RegExp(`^ready .*generation=${generation} `))
  const pid = () => stage.run(({ pid }) => pid)

  const puppet = await Puppet.open(stage)
  await puppet.onRestore((_socket, _session, { generation }) => {
    if (generation === 2) process.kill(process.pid, 'SIGKILL')
  })
  t.equal((await supervisor.upgrade()).exitCode, 4)
  isThere('the successor was killed before commit')
  t.equal(await generationOf(stage), 1)

  process.kill(await pid(), 'SIGKILL')
  await ready(3)
  await stage.renumber()
  isThere('who serves was killed')
  t.equal(await generationOf(stage), 3)

  t.equal((await supervisor.upgrade()).exitCode, 0)
  process.kill(await pid(), 'SIGKILL')
  await ready(5)
  await stage.renumber()
  isThere('a successor was killed after commit')
  t.equal(await generationOf(stage), 5)

  const serves = await pid()
  await supervisor.child.kill('SIGKILL')
  isThere('the supervisor was killed')
  t.equal(await generationOf(stage), 5, 'the runtime serves on')

  const args = ['--path', path]
  const next = startSupervisor(t, { command: ['node', PUPPET_SERVER, ...args], name: 'next' })
  await next.child.line(/listener "unix" on .*: another process listens there/)
  await next.child.kill('SIGKILL')
  isThere('nobody takes it from a process that serves')

  process.kill(serves, 'SIGKILL')
  await until(() => !isRunning(serves), 'the end of the runtime')
  isThere('nobody is left, and nobody has removed it')
  const last = startSupervisor(t, { command: ['node', PUPPET_SERVER, ...args], name: 'last' })
  await last.child.line(/^ready /)
  t.not(at(path)?.ctimeMs, ctimeMs, 'what is left of a process that is gone is replaced')
  t.equal((await last.stop()).exitCode, 0)
  t.equal(at(path), undefined)
})

t.test('what is not its own the supervisor does not touch', async (t) => {
  const place = folder(t)
  writeFileSync(join(place, 'file'), 'precious')
  symlinkSync(join(place, 'file'), join(place, 'link'))
  mkdirSync(join(place, 'folder'))
  const stage = await Stage.start(t)
  for (const [name, what] of [
    ['file', 'a file'],
    ['link', 'a symbolic link'],
    ['folder', 'a folder'],
  ] as const) {
    t.equal((await stage.supervisor.upgrade(...release('--path', join(place, name)))).exitCode, 4)
    await stage.supervisor.child.line(new RegExp(`listener "unix" on ${place}/${name}: there is ${what} at this path`))
  }
  t.equal(readFileSync(join(place, 'file'), 'utf8'), 'precious')
  t.ok(at(join(place, 'link'))?.isSymbolicLink())

  const path = join(place, 'socket')
  t.equal((await stage.supervisor.upgrade(...release('--path', path))).exitCode, 0)
  renameSync(path, `${path}.old`)
  const foreign = createServer().listen(path)
  await until(() => at(path) !== undefined, 'the socket of another program')
  t.equal((await stage.supervisor.stop()).exitCode, 0)
  t.ok(at(path)?.isSocket(), "another program's")
  await new Promise((resolve) => foreign.close(resolve))
  unlinkSync(`${path}.old`)
})

t.test('a path that cannot be one', async (t) => {
  const stage = await Stage.start(t)
  const long = join(folder(t), 'x'.repeat(100))
  t.equal((await stage.supervisor.upgrade(...release('--path', long))).exitCode, 4)
  await stage.supervisor.child.line(/listener "unix": its path has \d{3} bytes, the kernel's limit is 107/)
  t.equal((await stage.supervisor.upgrade(...release('--path', '/no/such/folder/socket'))).exitCode, 4)
  await stage.supervisor.child.line(/listener "unix" on \/no\/such\/folder\/socket: .*ENOENT/)
  t.equal((await stage.supervisor.upgrade(...release('--path', '/tmp/x', '--mode', '7777'))).exitCode, 4)
  await stage.supervisor.child.line(/listener "unix": mode must be 0 to 0o777/)
})

t.test('TCP, UDP and unix under one commit', async (t) => {
  const stage = await open(t, ['--udp', JSON.stringify({ type: 'udp4' })])
  const udp = createSocket('udp4')
  t.teardown(() => udp.close())
  const puppets = { tcp: await Puppet.open(stage, { over: 'tcp' }), unix: await Puppet.open(stage) }
  const answer: Trick = (socket, _session, { generation, now }) => {
    socket.on('data', () => socket.write(`${generation} ${now()}`))
  }
  for (const puppet of Object.values(puppets)) {
    await puppet.serve(answer)
    await puppet.onRestore(answer)
  }
  /** Asked all the time over each: which generation answered, and when, on the clock all processes share. */
  const heard: { over: string; generation: number; atMs: number }[] = []
  let isAsking = true
  const ask = async (over: string, send: (count: number) => void, from: EventEmitter, event: string): Promise<void> => {
    for (let count = 0; isAsking; count++) {
      const next = within(once(from, event), `an answer over ${over}`)
      send(count)
      const [, generation, atMs] = /(\d+) (?:\d+ )?(\d+\.\d+)$/.exec(String((await next)[0]))!
      heard.push({ over, generation: Number(generation), atMs: Number(atMs) })
    }
  }
  const asking = Promise.all([
    ask('udp', (count) => udp.send(`seq ${count}`, stage.udpPort, '127.0.0.1'), udp, 'message'),
    ...Object.entries(puppets).map(([over, { client }]) => ask(over, () => client.write('x'), client, 'data')),
  ])
  const all = (generation: number) =>
    until(
      () => new Set(heard.filter((one) => one.generation === generation).map(({ over }) => over)).size === 3,
      `answers of generation ${generation} over all three`,
    )
  await all(1)
  t.equal((await stage.supervisor.upgrade()).exitCode, 0)
  await all(2)
  isAsking = false
  await asking
  const of = (generation: number) => heard.filter((one) => one.generation === generation).map(({ atMs }) => atMs)
  t.equal(of(1).length + of(2).length, heard.length)
  t.ok(Math.max(...of(1)) < Math.min(...of(2)), 'all three change hands at one instant')
})
