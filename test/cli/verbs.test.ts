/** The command line: what each verb prints where, and the exit status of each case. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { EXIT } from '../../src/errors.js'
import { adminSocketPath, prepareDirectory } from '../../src/supervisor/directory.js'
import { binding } from '../../src/sys/binding.js'
import { descriptorOf } from '../../src/sys/node-internals.js'
import { type Outputs, runCli } from '../harness/cli.js'
import { Puppet, Stage } from '../harness/puppet.js'
import { serving, stream } from '../harness/stream.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(90_000))

const folder = mkdtempSync(join(tmpdir(), 'handover-cli-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const alone = { XDG_RUNTIME_DIR: folder }

const help = await runCli(['--help'])

function usage(t: Test, { code, stdout, stderr }: Outputs, message: RegExp): void {
  t.equal(code, EXIT.usage)
  t.equal(stdout, '')
  t.match(stderr, message)
}

t.test('--help names every exit status there is, and no other', async (t) => {
  t.equal(help.code, EXIT.ok)
  const rows = [...help.stdout.matchAll(/^ {2}(\d) {2}(.+)$/gm)].map(([, code, text]) => [Number(code), text])
  t.same(
    rows.map(([code]) => code),
    Object.values(EXIT),
  )
  for (const [, text] of rows) t.match(text, /\w+/)
  for (const verb of ['run', 'upgrade', 'status', 'stop']) {
    const one = await runCli([verb, '--help'])
    t.equal(one.code, EXIT.ok)
    t.match(one.stdout, new RegExp(`Usage: handover ${verb} `))
    t.match(one.stdout, /--json/)
  }
  t.match((await runCli(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
})

t.test('a command line that is not understood', async (t) => {
  usage(t, await runCli([]), /Usage: handover/)
  usage(t, await runCli(['explode']), /unknown command 'explode'/)
  usage(t, await runCli(['status', '--explode']), /unknown option '--explode'/)
  usage(t, await runCli(['status', 'more']), /too many arguments/)
  usage(t, await runCli(['run'], alone), /missing required argument 'command'/)
  usage(t, await runCli(['run', '--ready-timeout', 'soon', '--', 'true'], alone), /"soon" is not a duration/)
  usage(t, await runCli(['run', '--drain', '25h', '--', 'true'], alone), /"25h" is not a duration/)
  usage(t, await runCli(['run', '--freeze', '-1s', '--', 'true'], alone), /"-1s" is not a duration/)
  usage(t, await runCli(['run', '--check', '', '--', 'true'], alone), /"" is not a duration/)
  usage(t, await runCli(['run', '--copy', 'long', '--', 'true'], alone), /"long" is not a duration/)
  usage(t, await runCli(['run', '--memory-limit', '1GB', '--', 'true'], alone), /"1GB" is not a size, such as 1G, 512M/)
  usage(t, await runCli(['run', '--memory-limit', '0', '--', 'true'], alone), /"0" is not a size/)
  for (const verb of ['run', 'upgrade']) {
    const policy = /'--policy <policy>' argument 'some' is invalid. Allowed choices are all-or-nothing, best-effort/
    usage(t, await runCli([verb, '--policy', 'some', '--', 'true'], alone), policy)
    const unsettled = /'--unsettled <what>' argument 'wait' is invalid. Allowed choices are freeze, refuse/
    usage(t, await runCli([verb, '--unsettled', 'wait', '--', 'true'], alone), unsettled)
  }
  usage(t, await runCli(['run', '--node', '/x', '--', 'deno'], alone), /--node \/x replaces "node"/)
  usage(t, await runCli(['run', '--name', '../x', '--', 'true'], alone), /--name "..\/x" must be/)
  usage(t, await runCli(['status', '--name', 'a b'], alone), /--name "a b" must be/)
})

t.test('nobody answers', async (t) => {
  for (const verb of ['upgrade', 'status', 'stop']) {
    const { code, stdout, stderr } = await runCli([verb, '--name', 'nobody'], alone)
    t.equal(code, EXIT.unreachable, verb)
    t.equal(stdout, '')
    t.match(stderr, /^handover: no supervisor "nobody" answers at .*\/nobody\/admin.sock: .*ENOENT/)
    const json = await runCli([verb, '--name', 'nobody', '--json'], alone)
    t.equal(json.code, EXIT.unreachable)
    t.match(JSON.parse(json.stdout), { error: { code: 'HANDOVER_UNREACHABLE', message: /nobody/ } })
    t.equal(json.stderr, '')
  }
})

t.test('who answers breaks off', async (t) => {
  const path = adminSocketPath('broken', alone)
  prepareDirectory(join(path, '..'))
  const ends: ((socket: Socket) => void)[] = [
    (socket) => socket.destroy(),
    (socket) => socket.end('not JSON\n'),
    (socket) => socket.end('{"event":"phase","phase":"spawn"}\n'),
  ]
  const server = createServer({ pauseOnConnect: true }, async (socket) => {
    // Closed with the request unread, it is ECONNRESET at the other end.
    await until(() => binding().queueSizes(descriptorOf(socket)!).receive > 0, 'the request')
    ends.shift()!(socket)
  })
  server.listen(path)
  t.teardown(() => server.close())
  for (const what of ['with the request unread', 'in the middle', 'before the answer']) {
    const { code, stderr } = await runCli(['status', '--name', 'broken'], alone)
    t.equal(code, EXIT.unreachable, what)
    t.match(stderr, /^handover: the supervisor "broken" (broke off|went away) before it answered/)
  }
})

t.test('one supervisor: each verb, each outcome, as text and as JSON', async (t) => {
  const { supervisor, load } = await serving(t, { clients: 5 })
  const cli = (...args: string[]) => runCli([args[0]!, '--name', supervisor.name, ...args.slice(1)], supervisor.env)

  const committed = await cli('upgrade', '--', ...stream('--release', '2'))
  t.equal(committed.code, EXIT.ok)
  t.match(
    committed.stdout,
    /^upgrade 1 committed \([^)]+\)\n {2}from +generation 1, 1, Node \S+, pid \d+\n {2}to +generation 2, 2, /,
  )
  t.match(
    committed.stdout,
    /sessions +5 moved, 0 drained, 0 dropped, 0 refused\n {2}pause +p50 .*, max .*\n {2}phases +spawn .*, drain /,
  )
  t.same(
    [...committed.stderr.matchAll(/^ *[\d.,]+ m?s {2}(\w+)$/gm)].map(([, phase]) => phase),
    ['spawn', 'transfer', 'drain'],
  )

  const refused = await cli('upgrade', '--', ...stream('--kind', 'other'))
  t.equal(refused.code, EXIT.refused)
  t.match(refused.stdout, /^upgrade 2 refused; the predecessor serves on/)
  t.match(
    refused.stdout,
    /reasons +refused ×5 \(stream version 1\): the successor does not declare session kind "stream"/,
  )
  const failed = await cli('upgrade', '--', ...stream('--fault', 'crash'))
  t.equal(failed.code, EXIT.aborted)
  t.match(failed.stdout, /^upgrade 3 failed; the predecessor serves on/)
  t.match(failed.stdout, /reasons +upgrade: the successor exited with code 41/)

  const json = await cli('upgrade', '--json')
  t.equal(json.code, EXIT.ok)
  t.equal(json.stderr, '', 'no progress beside JSON')
  const side = { generation: Number, release: String, node: process.versions.node, pid: Number }
  t.match(JSON.parse(json.stdout), {
    id: 4,
    outcome: 'committed',
    startedAt: /^\d{4}-\d\d-\d\dT/,
    durationMs: Number,
    from: side,
    to: side,
    sessions: { moved: 5, drained: 0, dropped: 0, refused: 0 },
    reasons: [],
    pauseMs: { p50: Number, p99: Number, max: Number },
    phases: [
      { phase: 'spawn', durationMs: Number },
      { phase: 'check' },
      { phase: 'copy' },
      { phase: 'transfer' },
      { phase: 'vote' },
      { phase: 'commit' },
      { phase: 'drain' },
    ],
    listeners: [{ name: 'stream', address: /^127\.0\.0\.1:\d+$/, cookie: /^\d+$/ }],
  })
  t.equal(json.stdout.trim().split('\n').length, 1, 'one line')

  const status = await cli('status', '--json')
  t.equal(status.code, EXIT.ok)
  t.match(JSON.parse(status.stdout), {
    pid: supervisor.child.pid,
    uptimeMs: Number,
    upgrading: null,
    generations: [{ ...side, state: 'serving', uptimeMs: Number, sessions: { stream: 5 }, unregistered: 0 }],
    listeners: [{ name: 'stream' }],
    lastUpgrade: { id: 4 },
  })
  const text = (await cli('status')).stdout
  t.match(
    text,
    /^supervisor pid \d+, up .*\n {2}generation +state +release .*\n {2}5 +serving +2 .* stream 5 +0\nlistener stream on 127\.0\.0\.1:\d+\nlast upgrade 4 committed/,
  )

  const upgrading = cli('upgrade', '--json', '--', ...stream('--fault', 'wait-for-signal'))
  const [, waiting] = await supervisor.child.line(/^waiting pid=(\d+)$/)
  const busy = await cli('upgrade', '--json')
  t.equal(busy.code, EXIT.busy)
  t.match(JSON.parse(busy.stdout), { error: { code: 'HANDOVER_BUSY' } })
  t.match((await cli('status')).stdout, /\n {2}upgrade 5 from generation 5 to 6 is in progress \(spawn\)\n/)
  const wrong = await cli('upgrade', '--node', '/x', '--json', '--', 'deno')
  t.match(
    { code: wrong.code, json: JSON.parse(wrong.stdout) },
    { code: EXIT.usage, json: { error: { code: 'HANDOVER_USAGE' } } },
  )
  process.kill(Number(waiting), 'SIGUSR2')
  t.equal((await upgrading).code, EXIT.ok)
  await load.finish()

  const stop = await cli('stop')
  t.same(stop, { code: EXIT.ok, stdout: 'stopped\n', stderr: '' })
  t.equal((await cli('stop', '--json')).code, EXIT.unreachable)
  t.same(await supervisor.child.exited, { code: EXIT.ok, signal: null })
})

t.test('handover run: exit status, and JSON of its own failures', async (t) => {
  const crashed = await runCli(['run', '--json', '--', 'false'], alone)
  t.equal(crashed.code, EXIT.crashed)
  for (const line of crashed.stderr.trim().split('\n')) t.type(JSON.parse(line).msg, 'string')
  t.equal(crashed.stdout, '', "stdout is the service's")
  mkdirSync(join(folder, 'unsafe', 'handover'), { recursive: true })
  chmodSync(join(folder, 'unsafe', 'handover'), 0o777)
  const unsafe = await runCli(['run', '--json', '--', 'true'], { XDG_RUNTIME_DIR: join(folder, 'unsafe') })
  t.equal(unsafe.code, EXIT.failed)
  t.match(JSON.parse(unsafe.stdout), { error: { code: 'HANDOVER_DIRECTORY_UNSAFE' } })
})

t.test('--json of "handover stop"', async (t) => {
  const stage = await Stage.start(t)
  const puppet = await Puppet.open(stage)
  const { code, stdout } = await runCli(['stop', '--name', 'test', '--json'], stage.supervisor.env)
  t.match({ code, json: JSON.parse(stdout) }, { code: EXIT.ok, json: { stopped: true } })
  await puppet.isEnded()
})
