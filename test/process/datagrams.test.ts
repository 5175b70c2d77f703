/** UDP sockets over upgrades: what the kernel keeps, who receives when, and that nothing is lost or doubled. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { SupervisorStatus } from '../../src/supervisor/status.js'
import { descriptorSorts } from '../harness/census.js'
import { compiled } from '../harness/child.js'
import { Numbered } from '../harness/datagrams.js'
import { NO_NODE, nodeBinary } from '../harness/node-versions.js'
import { PUPPET_SERVER, Puppet, Stage, type StageOptions } from '../harness/puppet.js'
import { scaled, until, within } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const udp4 = JSON.stringify({ type: 'udp4' })

function open(t: Test, args: readonly string[] = [], more: Omit<StageOptions, 'args'> = {}): Promise<Stage> {
  return Stage.start(t, { ...more, args: ['--udp', udp4, ...args] })
}

const peers = (stage: Stage) => stage.run(({ udp }) => Object.fromEntries(udp!.peers))
const messages = (stage: Stage) => stage.run(({ udp }) => udp!.messages)
const late = ({ supervisor }: Stage): string[] => supervisor.child.lines.filter((line) => line.startsWith('LATE'))
const cookieOf = async ({ supervisor }: Stage): Promise<string | undefined> =>
  ((await supervisor.status()).json as unknown as SupervisorStatus).listeners.find(({ name }) => name === 'udp')?.cookie

t.test('no datagram is lost, doubled or late over good and aborted upgrades', async (t) => {
  const stage = await open(t)
  const numbered = (await Numbered.open(t, stage.udpPort)).start()
  const cookie = await cookieOf(stage)
  const address = await stage.run(({ udp }) => udp!.socket.address())
  for (let round = 1; round <= 3; round++) {
    await numbered.progress()
    t.equal((await stage.abortedUpgrade()).exitCode, 3)
    await numbered.progress()
    t.equal((await stage.supervisor.upgrade()).exitCode, 0)
    t.same(await stage.run(({ udp }) => udp!.socket.address()), address)
    t.equal(await cookieOf(stage), cookie, 'the same socket of the kernel')
  }
  await numbered.progress()
  const sent = await numbered.stop()
  t.same(numbered.generations, [1, 3, 5, 7], 'one after the other; none that was aborted, and none again')
  t.same(
    await peers(stage),
    { [numbered.address]: { next: sent, received: sent, missing: [], doubled: [] } },
    'the state of its peer has moved at the same instant',
  )
  t.same(late(stage), [], 'a predecessor receives nothing after commit')
  t.equal((await stage.supervisor.stop()).exitCode, 0)
})

t.test('what comes while nobody reads waits in the kernel, for whoever serves then', async (t) => {
  const stage = await open(t)
  const numbered = await Numbered.open(t, stage.udpPort)
  const puppet = await Puppet.open(stage)
  await puppet.onRestore((_socket, _session, { generation, block }) => {
    console.log(`frozen for ${generation}`)
    block(300)
  })
  for (const { abort, generation, serves } of [
    { abort: true, generation: 2, serves: 1 },
    { abort: false, generation: 3, serves: 3 },
  ]) {
    const before = numbered.acknowledged
    const upgrade = abort ? stage.abortedUpgrade() : stage.supervisor.upgrade()
    await stage.supervisor.child.line(new RegExp(`^frozen for ${generation}$`))
    numbered.start()
    await numbered.until(before + 1_000)
    await numbered.stop()
    t.equal((await upgrade).exitCode, abort ? 3 : 0)
    t.equal(numbered.generations.at(-1), serves)
  }
  t.same(numbered.generations, [1, 3])
  const received = numbered.sent
  t.match(await peers(stage), { [numbered.address]: { received, missing: [], doubled: [] } })
})

const [node20, node26] = [await nodeBinary(20), await nodeBinary(26)]

for (const host of ['127.0.0.1', '::1']) {
  const skip =
    (node20 === undefined || node26 === undefined ? NO_NODE : false) ||
    (host === '::1' && !(await canBind('::1')) && 'no IPv6 here')
  t.test(`five in a row, 20 and 26 in turns, over ${host}`, { skip }, async (t) => {
    const udp = JSON.stringify({ type: host === '::1' ? 'udp6' : 'udp4' })
    const args = ['--udp', udp, '--udp-host', host]
    const stage = await Stage.start(t, { args, node: node20! })
    const numbered = (await Numbered.open(t, stage.udpPort, host)).start()
    const sorts = async () => descriptorSorts(await stage.run(({ pid }) => pid))
    let before: Record<string, number> = {}
    for (let upgrade = 1; upgrade <= 5; upgrade++) {
      await numbered.progress()
      const { exitCode, json } = await stage.supervisor.upgrade('--node', upgrade % 2 === 1 ? node26! : node20!)
      t.match({ exitCode, json }, { exitCode: 0, json: { to: { node: upgrade % 2 === 1 ? /^26\./ : /^20\./ } } })
      if (upgrade === 2) before = await sorts()
    }
    await stage.supervisor.upgrade('--node', node20!)
    await numbered.progress()
    // The end of the connection that asked last may still be on its way.
    let after = await sorts()
    for (
      const giveUpAt = performance.now() + scaled(10_000);
      after['socket'] !== before['socket'] && performance.now() < giveUpAt;
    )
      after = await sorts()
    t.same(after, before, 'no descriptor more than after the second')
    const sent = await numbered.stop()
    t.match(await peers(stage), { [numbered.address]: { next: sent, received: sent, missing: [], doubled: [] } })
    t.same(late(stage), [])
  })
}

t.test('groups and options are of the kernel: they stay, and joining again is no error', async (t) => {
  const group = '239.255.70.1'
  const setUp = `(socket) => {
    socket.setMulticastTTL(9)
    socket.setTTL(33)
    socket.addMembership('${group}', '127.0.0.1')
    socket.addSourceSpecificMembership('127.0.0.1', '232.70.0.1', '127.0.0.1')
  }`
  const udp = JSON.stringify({ type: 'udp4', recvBufferSize: 50_000 })
  const stage = await Stage.start(t, { args: ['--udp', udp, '--udp-host', '0.0.0.0', '--udp-setup', setUp] })
  const sender = createSocket('udp4')
  t.teardown(() => sender.close())
  sender.bind(0, '127.0.0.1')
  await once(sender, 'listening')
  sender.setMulticastInterface('127.0.0.1')
  const tell = async (to: string, text: string): Promise<void> => {
    sender.send(text, stage.udpPort, to)
    await heard(stage, text)
  }
  const facts = () => stage.run(({ udp }) => udp!.socket.getRecvBufferSize())
  await tell(group, 'to the group')
  await tell('232.70.0.1', 'from one source')
  const size = await facts()
  t.equal((await stage.abortedUpgrade()).exitCode, 3)
  t.equal(await facts(), size)
  for (const to of [1, 2]) {
    t.equal((await stage.supervisor.upgrade()).exitCode, 0)
    t.equal(await facts(), size)
    await tell(group, `to the group after upgrade ${to}`)
    await tell('232.70.0.1', `from one source after upgrade ${to}`)
    t.same(
      (await messages(stage)).filter((message) => message.includes('error')),
      [],
    )
  }
  const again = await stage.run(({ udp }) => {
    try {
      udp!.socket.addMembership('239.255.70.1', '127.0.0.1')
      return 'joined twice'
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    }
  })
  t.equal(again, 'EADDRINUSE', 'who has joined in this process is told as ever')
  await stage.run(({ udp }) => udp!.socket.dropMembership('239.255.70.1', '127.0.0.1'))
  sender.send('after the drop', stage.udpPort, group)
  await tell('127.0.0.1', 'directly')
  t.notOk((await messages(stage)).some((message) => message.includes('after the drop')))
})

t.test('a connected socket stays connected; connect() to the same peer is no error, to another moves it', async (t) => {
  const [peer, other] = [createSocket('udp4'), createSocket('udp4')]
  const ports = await Promise.all(
    [peer, other].map(async (socket) => {
      socket.bind(0, '127.0.0.1')
      await once(socket, 'listening')
      t.teardown(() => socket.close())
      return socket.address().port
    }),
  )
  const setUp = (port: number) =>
    `(socket, runtime) => socket.connect(${port}, '127.0.0.1', () => socket.send('hello of ' + runtime.generation))`
  const greeting = async (socket: typeof peer): Promise<string> =>
    String((await within(once(socket, 'message'), 'a greeting'))[0])
  const first = greeting(peer)
  const stage = await open(t, ['--udp-setup', setUp(ports[0]!)])
  t.equal(await first, 'hello of 1')
  const aborted = await stage.abortedUpgrade('--', 'node', PUPPET_SERVER, ...withSetUp(setUp(ports[1]!)))
  t.equal(aborted.exitCode, 3)
  const remote = () => stage.run(({ udp }) => udp!.socket.remoteAddress())
  t.match(await remote(), { port: ports[0] }, 'an upgrade that is aborted does not connect it elsewhere')
  peer.send('to 1', stage.udpPort, '127.0.0.1')
  await heard(stage, 'to 1')

  const second = greeting(peer)
  t.equal((await stage.supervisor.upgrade()).exitCode, 0)
  t.equal(await second, 'hello of 3')
  t.match(await remote(), { port: ports[0] })
  other.send('from a stranger', stage.udpPort, '127.0.0.1')
  peer.send('to 3', stage.udpPort, '127.0.0.1')
  await heard(stage, 'to 3')
  t.notOk((await messages(stage)).some((message) => message.includes('stranger')))

  const third = greeting(other)
  t.equal((await stage.supervisor.upgrade('--', 'node', PUPPET_SERVER, ...withSetUp(setUp(ports[1]!)))).exitCode, 0)
  t.equal(await third, 'hello of 4')
  t.match(await remote(), { port: ports[1] })
})

const withSetUp = (setUp: string): string[] => ['--udp', udp4, '--udp-setup', setUp]

t.test('before commit nothing of a successor touches the socket', async (t) => {
  const setUp = `(socket, runtime) => {
    if (runtime.generation === 1) return
    socket.send('early', socket.address().port, '127.0.0.1')
    socket.setRecvBufferSize(20_000)
    socket.setBroadcast(true)
    console.log('ttl ' + socket.setTTL(44))
  }`
  const stage = await open(t, ['--udp-setup', setUp])
  const size = () => stage.run(({ udp }) => udp!.socket.getRecvBufferSize())
  const before = await size()
  t.equal((await stage.abortedUpgrade()).exitCode, 3)
  await stage.supervisor.child.line(/^ttl 44$/)
  t.equal(await size(), before)
  const own = createSocket('udp4')
  t.teardown(() => own.close())
  own.send('after it', stage.udpPort, '127.0.0.1')
  await heard(stage, 'after it')
  t.same(await messages(stage), ['1 after it'], 'what an aborted successor has sent was never sent')
  t.equal((await stage.supervisor.upgrade()).exitCode, 0)
  await heard(stage, 'early')
  t.equal(await size(), 40_000)
  const methods = await stage.run(({ udp }) => Object.getOwnPropertyNames(udp!.socket))
  t.notOk(methods.includes('send'), 'between upgrades nothing stands in its way')
})

t.test('its port stays its own: also a socket that would share it gets none', async (t) => {
  const stage = await open(t)
  for (const upgrade of [0, 1]) {
    if (upgrade > 0) t.equal((await stage.supervisor.upgrade()).exitCode, 0)
    const thief = createSocket({ type: 'udp4', reuseAddr: true })
    thief.bind(stage.udpPort, '127.0.0.1')
    await t.rejects(once(thief, 'listening'), { code: 'EADDRINUSE' })
    thief.close()
  }
})

t.test('what a predecessor sends at its end goes out, to names too', async (t) => {
  const stage = await open(t)
  const receiver = createSocket('udp4')
  receiver.bind(0, '127.0.0.1')
  await once(receiver, 'listening')
  t.teardown(() => receiver.close())
  const got: string[] = []
  receiver.on('message', (bytes) => got.push(bytes.toString()))
  const { port } = receiver.address()
  await stage.run(({ udp, runtime }, port) => {
    runtime.retired.addEventListener('abort', () => {
      udp!.socket.send('to a number', port, '127.0.0.1')
      udp!.socket.send('to a name', port, 'localhost')
    })
  }, port)
  t.equal((await stage.supervisor.upgrade()).exitCode, 0)
  await until(
    () => got.length === 2,
    () => `two datagrams: ${got}`,
  )
  t.same(got.sort(), ['to a name', 'to a number'])
})

t.test('on a Node that lacks what it needs the socket is bound when it may receive', async (t) => {
  const stage = await open(t, [], { env: { NODE_OPTIONS: `--import=${compiled('test/fixtures/no-peer-names.js')}` } })
  const numbered = (await Numbered.open(t, stage.udpPort)).start()
  await numbered.progress()
  t.equal((await stage.abortedUpgrade()).exitCode, 3)
  await numbered.progress()
  t.equal((await stage.supervisor.upgrade()).exitCode, 0)
  await numbered.progress()
  t.equal((await stage.supervisor.upgrade()).exitCode, 0)
  await numbered.progress()
  await numbered.stop()
  t.same(numbered.generations, [1, 3, 4])
  t.same(late(stage), [])
  t.match(await stage.run(() => process.env['NODE_OPTIONS']), /no-peer-names/)
})

t.test('a process that crashes leaves its socket to the next one', async (t) => {
  const stage = await open(t)
  const cookie = await cookieOf(stage)
  const crashed = stage.supervisor.child.line(/^ready release=1 generation=2/)
  await stage.run(({ pid }) => setImmediate(() => process.kill(pid, 'SIGKILL')) && undefined)
  await crashed
  const numbered = (await Numbered.open(t, stage.udpPort)).start()
  await numbered.progress()
  await numbered.stop()
  t.same(numbered.generations, [2])
  t.equal(await cookieOf(stage), cookie)
})

t.test('a socket the next release does not ask for is closed, one it asks for is made', async (t) => {
  const stage = await open(t)
  const names = async () =>
    ((await stage.supervisor.status()).json as unknown as SupervisorStatus).listeners.map(({ name, address }) =>
      name === 'udp' ? address : name,
    )
  t.same((await names()).sort(), [`127.0.0.1:${stage.udpPort}/udp`, 'control', 'stage'])
  t.equal((await stage.supervisor.upgrade('--', 'node', PUPPET_SERVER)).exitCode, 0)
  t.same((await names()).sort(), ['control', 'stage'])
  t.equal(await canBind('127.0.0.1', stage.udpPort), true, 'its port is free')
  const taken = createSocket('udp4').bind(stage.udpPort, '127.0.0.1')
  await once(taken, 'listening')
  const port = String(stage.udpPort)
  const refused = await stage.supervisor.upgrade('--', 'node', PUPPET_SERVER, '--udp', udp4, '--udp-port', port)
  t.equal(refused.exitCode, 4)
  await stage.supervisor.child.line(/listener "udp" on 127\.0\.0\.1:\d+\/udp: .*EADDRINUSE/)
  await new Promise<void>((resolve) => taken.close(() => resolve()))
  t.equal((await stage.supervisor.upgrade('--', 'node', PUPPET_SERVER, '--udp', udp4, '--udp-port', port)).exitCode, 0)
  const numbered = (await Numbered.open(t, stage.udpPort)).start()
  await numbered.progress()
  await numbered.stop()
})

async function heard(stage: Stage, text: string): Promise<void> {
  const look = async (): Promise<void> => {
    while (!(await messages(stage)).some((message) => message.endsWith(` ${text}`)));
  }
  await within(look(), `the server to hear "${text}"`)
}

async function canBind(host: string, port = 0): Promise<boolean> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  try {
    socket.bind(port, host)
    await once(socket, 'listening')
    return true
  } catch {
    return false
  } finally {
    socket.close()
  }
}
