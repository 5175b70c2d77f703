/** TLS sessions are resumed by the successor: tickets of TLS 1.2 and 1.3, and sessions the app keeps by id. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cert } from '../fixtures/certificate.js'
import { scaled } from '../harness/timeout.js'
import { has, serveTls } from '../harness/tls.js'
import { visit } from '../harness/tls-visit.js'

t.setTimeout(scaled(120_000))

/** Another name for the same release: Node's default session id context is another one. */
const renamed = (args: readonly string[], name: string | number): string[] => [...args, '--padding', `p${name}`]

for (const [what, args] of [
  ['tickets of TLS 1.3', []],
  ['tickets of TLS 1.2', ['--maxVersion', 'TLSv1.2']],
  ['sessions of TLS 1.2 by id', ['--maxVersion', 'TLSv1.2', '--store']],
] as const) {
  t.test(`${what}, five in a row`, async (t) => {
    const stage = await serveTls(t, args)
    const first = await visit(stage)
    t.notOk(first.isReused)
    const byName = await visit(stage, { servername: 'other.test' })
    let { session } = first
    for (let upgrade = 1; upgrade <= 5; upgrade++) {
      t.equal((await stage.upgrade(renamed(args, upgrade))).exitCode, 0)
      const next = await visit(stage, { session })
      t.match(next.answer, `generation=${upgrade + 1} `)
      t.ok(next.isReused, `resumed by generation ${upgrade + 1}`)
      session = next.session
    }
    t.ok((await visit(stage, { session: first.session })).isReused, 'the oldest, too')
    t.ok((await visit(stage, { session: byName.session, servername: 'other.test' })).isReused, 'and by server name')
  })
}

t.test('without the adapter nothing is resumed; with it no upgrade is refused to or from such a release', async (t) => {
  const stage = await serveTls(t, ['--bare'])
  const bare = await visit(stage)
  t.ok((await visit(stage, { session: bare.session })).isReused)
  t.equal((await stage.upgrade(['--bare', '--padding', 'p'])).exitCode, 0)
  t.notOk((await visit(stage, { session: bare.session })).isReused, 'what the adapter is for')
  t.equal((await stage.upgrade([])).exitCode, 0, 'to a release with it')
  t.equal((await stage.upgrade(['--bare'])).exitCode, 0, 'and back')
  t.match((await visit(stage)).answer, 'generation=4 ')
})

t.test('what the app decides wins', async (t) => {
  const stage = await serveTls(t, [])
  const { session } = await visit(stage)
  t.equal((await stage.upgrade(['--keys', 'k'])).exitCode, 0)
  t.notOk((await visit(stage, { session })).isReused, 'keys given as an option')
  const keyed = await visit(stage)
  t.equal((await stage.upgrade(['--keys', 'k', '--context', 'c'])).exitCode, 0)
  t.notOk((await visit(stage, { session: keyed.session })).isReused, 'a context given as an option')
  const both = await visit(stage)
  t.equal((await stage.upgrade(renamed([], 1))).exitCode, 0)
  t.ok((await visit(stage, { session: both.session })).isReused, 'a release without options takes over both')
})

t.test('keys that were rotated, and a new certificate', async (t) => {
  const stage = await serveTls(t, [])
  const old = await visit(stage)
  await visit(stage, {}, '/rotate')
  t.notOk((await visit(stage, { session: old.session })).isReused)
  const rotated = await visit(stage)
  t.equal((await stage.upgrade(renamed([], 1))).exitCode, 0)
  t.ok((await visit(stage, { session: rotated.session })).isReused, 'the newest keys moved')
  await visit(stage, {}, '/renew')
  t.ok((await visit(stage, { session: rotated.session })).isReused, 'and stay over a renewal')
  t.equal((await stage.upgrade(renamed([], 2))).exitCode, 0)
  t.ok((await visit(stage, { session: rotated.session })).isReused)
})

t.test('an upgrade that is refused changes nothing', async (t) => {
  const stage = await serveTls(t, [])
  const { session } = await visit(stage)
  t.equal((await stage.upgrade(renamed(['--refuse'], 1))).exitCode, 3)
  t.match(await visit(stage, { session }), { isReused: true, answer: /generation=1 / })
})

const noOpenssl = has('openssl', 'version') ? false : 'openssl is not installed'

t.test('openssl s_client: resumed; an end without close_notify would be an error', { skip: noOpenssl }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'handover-openssl-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'cert.pem'), cert)
  const stage = await serveTls(t, [])
  const ask = (...args: string[]): string =>
    execFileSync(
      'openssl',
      ['s_client', '-connect', `127.0.0.1:${stage.port}`, '-servername', 'localhost', '-CAfile', 'cert.pem']
        .concat(['-ign_eof', '-verify_return_error'])
        .concat(args),
      { cwd: folder, input: 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', encoding: 'utf8' },
    )
  for (const version of ['-tls1_2', '-tls1_3']) {
    t.match(ask(version, '-sess_out', `session${version}`), /^New, TLSv1/m)
    t.match(ask(version, '-sess_in', `session${version}`), /^Reused, TLSv1/m)
  }
  t.equal((await stage.upgrade(renamed([], 1))).exitCode, 0)
  for (const version of ['-tls1_2', '-tls1_3']) {
    const said = ask(version, '-sess_in', `session${version}`)
    t.match(said, /^Reused, TLSv1/m)
    t.match(said, 'generation=2 ')
  }
})
