/** Over TLS a WebSocket stays where it is, and a polling client moves: both hear what is said to all. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { io } from 'socket.io-client'
import t from 'tap'
import { Guest, Hall } from '../harness/socket.io.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'])
    return true
  } catch {
    return false
  }
}

t.test('clients over TLS', { skip: !hasOpenssl() && 'openssl is not installed' }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'handover-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-days', '2']
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  })
  const hall = await Hall.start(t, { args: ['--key', key, '--cert', cert], options: ['--drain', '60s'] })
  const enter = async (transport: string): Promise<Guest> => {
    const socket = io(`https://127.0.0.1:${hall.port}`, {
      transports: [transport],
      forceNew: true,
      reconnection: false,
      rejectUnauthorized: false,
    })
    t.teardown(() => socket.disconnect())
    const guest = new Guest(socket)
    await until(
      () => socket.connected,
      () => `a client over TLS: ${guest.ends}`,
    )
    return guest
  }
  const [polling, webSocket] = [await enter('polling'), await enter('websocket')]
  const { pid } = await webSocket.who()
  const upgrading = hall.supervisor.upgrade()
  await hall.supervisor.child.line(/^ready release=1 generation=2/)
  t.not((await polling.who()).pid, pid)
  t.equal((await webSocket.who()).pid, pid, 'it is served where it is')
  for (let number = 1; number <= 20; number++) {
    polling.socket.emit('all', 'polling', number)
    webSocket.socket.emit('all', 'webSocket', number)
  }
  for (const guest of [polling, webSocket]) {
    const all = await guest.hears('all', 40)
    for (const speaker of ['polling', 'webSocket'])
      t.same(
        all.filter(([, who]) => who === speaker).map(([, , number]) => number),
        Array.from({ length: 20 }, (_, index) => index + 1),
        'each once, in order',
      )
  }
  webSocket.socket.disconnect()
  const { json, lines } = await upgrading
  t.match(json, { outcome: 'committed', sessions: { dropped: 0 } }, 'committed', { lines })
  t.same(polling.ends, [])
  t.equal((await hall.supervisor.stop()).exitCode, 0)
})
