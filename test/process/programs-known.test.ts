/** Programs people run, as they come: gunicorn, nginx. New connections all the time: none refused, none reset. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { tcpTable } from '../../src/sys/tcp-table.js'
import { descriptorSorts, processFact } from '../harness/census.js'
import { freePort } from '../harness/port.js'
import { fixture, missing } from '../harness/programs.js'
import { startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const agent = new Agent({ keepAlive: false })

/** One request on a connection of its own. */
function request(port: number, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', path, agent }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: unknown) => {
        text += String(chunk)
      })
      response.on('error', reject)
      response.on('end', () => resolve(`${response.statusCode} ${text}`))
    }).on('error', reject)
  })
}

/** Requests without end, one after the other. */
function load(port: number): { made(): number; stop(): Promise<string[]> } {
  const wrong: string[] = []
  let made = 0
  let isStopped = false
  const running = (async () => {
    while (!isStopped) {
      const answer = await request(port).catch((error: Error) => String(error))
      if (answer.startsWith('200 release=')) made += 1
      else wrong.push(answer)
    }
  })()
  return {
    made: () => made,
    stop: async () => {
      isStopped = true
      await running
      return wrong
    },
  }
}

async function portOf(supervisor: TestSupervisor): Promise<number> {
  await supervisor.child.line(/"msg":"serving"/)
  const { json } = await supervisor.status()
  return Number((json as { listeners: { address: string }[] }).listeners[0]!.address.split(':').at(-1))
}

/** Five upgrades under load, of which one fails, then the stop. */
async function fiveInARow(
  t: Test,
  supervisor: TestSupervisor,
  command: (release: string) => string[],
  broken: string[],
): Promise<void> {
  const port = await portOf(supervisor)
  const loads = [load(port), load(port), load(port)]
  const serves = async (release: string) => t.match(await request(port), new RegExp(`^200 release=${release}\\b`))
  await serves('1')
  const before = descriptorSorts(supervisor.child.pid)
  const processes = supervisor.processes().length
  for (const release of ['2', '3', 'broken', '4', '5', '6']) {
    const isBroken = release === 'broken'
    const made = loads.map((each) => each.made())
    const settle = isBroken ? ['--settle', '20s'] : []
    const { exitCode, json } = await supervisor.upgrade(...settle, '--', ...(isBroken ? broken : command(release)))
    t.equal(exitCode, isBroken ? 4 : 0, JSON.stringify(json?.reasons))
    if (!isBroken) {
      t.equal(processFact(json!.from.pid!), undefined)
      await serves(release)
    }
    await until(() => loads.every((each, index) => each.made() > made[index]!), 'requests that are answered')
  }
  const wrong = await Promise.all(loads.map((each) => each.stop()))
  t.same(wrong.flat(), [], `${loads.map((each) => each.made()).join(', ')} requests were answered`)
  await until(() => supervisor.processes().length === processes, 'as many processes as before')
  t.same(descriptorSorts(supervisor.child.pid), before)
  t.equal((await supervisor.stop()).exit.code, 0)
  t.same(supervisor.processes(), [])
}

const gunicorn = (release: string, ...more: string[]) => [
  ...['gunicorn', '--workers', '2', '--env', `RELEASE=${release}`, '--chdir', fixture('.'), ...more],
  'wsgi:app',
]

t.test('gunicorn', { skip: missing('gunicorn', '--version') }, async (t) => {
  const supervisor = startSupervisor(t, { command: gunicorn('1'), options: ['--listen', 'http=127.0.0.1:0'] })
  // It says READY=1 before it has loaded the application, and ends when a worker cannot.
  await fiveInARow(t, supervisor, gunicorn, gunicorn('9', '--env', 'BROKEN=1'))
})

t.test(
  'gunicorn: a request in progress is answered by the old one',
  { skip: missing('gunicorn', '--version') },
  async (t) => {
    const supervisor = startSupervisor(t, { command: gunicorn('1'), options: ['--listen', 'http=127.0.0.1:0'] })
    const port = await portOf(supervisor)
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    let answer = ''
    socket.setEncoding('latin1').on('data', (chunk: unknown) => {
      answer += String(chunk)
    })
    socket.write(`GET /slow?${scaled(500) / 1000} HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n`)
    const isAccepted = () =>
      tcpTable().some(
        ({ localPort, remotePort, inode }) => localPort === port && remotePort === socket.localPort && inode !== '0',
      )
    await until(isAccepted, 'a worker that has taken the connection')
    const { exitCode } = await supervisor.upgrade('--', ...gunicorn('2'))
    t.equal(exitCode, 0)
    await until(() => socket.readableEnded, 'the answer')
    t.match(answer, /^HTTP\/1\.1 200 OK[\s\S]*\r\n\r\nrelease=1 /)
    t.match(await request(port), /^200 release=2 /)
  },
)

t.test('nginx', { skip: missing('nginx', '-v') }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'handover-nginx-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  let port = 0
  const configured = (release: string) => {
    const file = join(folder, `${release}.conf`)
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${folder}/${name};`,
    )
    writeFileSync(
      file,
      `pid ${folder}/${release}.pid; error_log stderr; worker_processes 2; events {}
       http { access_log off; ${paths.join(' ')} server { listen 127.0.0.1:${port}; return 200 'release=${release}'; } }`,
    )
    // How nginx hands listening sockets to the next nginx.
    return ['env', 'NGINX=3;', 'nginx', '-e', 'stderr', '-c', file, '-g', 'daemon off;']
  }
  const probe = await freePort()
  port = probe
  const options = [
    '--listen',
    `http=127.0.0.1:${port}`,
    '--ready',
    'alive',
    '--settle',
    '300ms',
    '--stop-signal',
    'SIGQUIT',
  ]
  const supervisor = startSupervisor(t, { command: configured('1'), options })
  const broken = join(folder, 'broken.conf')
  writeFileSync(broken, 'nonsense;')
  await fiveInARow(t, supervisor, configured, [
    'env',
    'NGINX=3;',
    'nginx',
    '-e',
    'stderr',
    '-c',
    broken,
    '-g',
    'daemon off;',
  ])
})
