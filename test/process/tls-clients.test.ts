/** Programs that others wrote, on the same server under the same upgrades: curl over HTTP/1.1 and HTTP/2, and h2load. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cert } from '../fixtures/certificate.js'
import { type Child, startChild } from '../harness/child.js'
import { scaled, within } from '../harness/timeout.js'
import { has, serveTls } from '../harness/tls.js'

t.setTimeout(scaled(120_000))

const missing = ['curl', 'h2load'].filter((program) => !has(program, '--version'))
const skip = missing.length > 0 && `${missing.join(', ')} not installed`

/** At most so many a second: an HTTP/2 session of Node gives curl 7.88 up after some thousand requests, with no upgrade. */
const RATE = 100
const REQUESTS = 600

t.test('curl and h2load through upgrades: no error', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'handover-curl-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const ca = join(folder, 'cert.pem')
  writeFileSync(ca, cert)
  const args = ['--sort', 'h1+h2']
  const stage = await serveTls(t, args)
  const { port } = stage
  // To stderr: what goes to stdout is kept back until there is a page of it.
  const curl = (version: string): Child =>
    startChild(t, 'curl', [
      ...[version, '--cacert', ca, '--resolve', `localhost:${port}:127.0.0.1`, '--rate', `${RATE}/s`, '-sS'],
      ...['-o', '/dev/null', '-w', '%{stderr}%{http_code} %{http_version} %{num_connects}\\n'],
      `https://localhost:${port}/?[1-${REQUESTS}]`,
    ])
  const http1 = curl('--http1.1')
  const http2 = curl('--http2')
  const h2load = startChild(t, 'h2load', ['-c4', '-m1', '-n1000000', `https://127.0.0.1:${port}/`])
  await Promise.all([http1.line(/^200/), http2.line(/^200/), h2load.line(/^Application protocol: h2/)])
  let upgrades = 0
  while (!http1.hasExited && !http2.hasExited) {
    t.equal((await stage.upgrade(args)).exitCode, 0)
    upgrades++
  }
  t.ok(upgrades >= 2, `${upgrades} upgrades`)
  for (const [child, version] of [
    [http1, '1.1'],
    [http2, '2'],
  ] as const) {
    const { code } = await within(child.closed, 'the end of curl')
    t.equal(code, 0)
    const made = child.lines.map((line) => new RegExp(`^200 ${version} (\\d)$`).exec(line)?.[1] ?? line)
    t.equal(made.length, REQUESTS)
    t.same(
      made.filter((connects) => connects !== '0' && connects !== '1'),
      [],
      'no request failed',
    )
    t.ok(made.filter((connects) => connects === '1').length >= 2, 'it came back after an upgrade')
  }
  // It makes no new connection after GOAWAY; what it has begun must have ended well.
  await within(h2load.closed, 'the end of h2load')
  const [, started, succeeded] = (await h2load.line(/^requests: .* (\d+) started, .* (\d+) succeeded/)) ?? []
  t.ok(Number(started) > 0)
  t.equal(succeeded, started)
})
