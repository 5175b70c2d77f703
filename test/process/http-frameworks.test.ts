/** Real servers and real clients: each posts all the time while the server is upgraded, and nobody notices. */
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { FRAMEWORKS } from '../fixtures/http-app.js'
import { startChild } from '../harness/child.js'
import { Web } from '../harness/http.js'
import { agentPoster, HttpLoad, undiciPoster } from '../harness/http-load.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const CONNECTIONS = 8
const KEPT = ['--server', '{"keepAliveTimeout":600000}']
const noCurl = spawnSync('curl', ['--version']).status !== 0

for (const framework of FRAMEWORKS) {
  t.test(`${framework}: undici and http.Agent through three upgrades, one of them aborted`, async (t) => {
    const web = await Web.start(t, ['--framework', framework, '--work', '2', ...KEPT])
    const posters = [undiciPoster(web.port, CONNECTIONS), agentPoster(web.port, CONNECTIONS)]
    const loads = posters.map((poster) => new HttpLoad(poster, CONNECTIONS))
    const progress = () => Promise.all(loads.map((load) => load.progress()))
    await progress()
    const before = await web.census()
    t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 2 * CONNECTIONS, drained: 0, dropped: 0 } })
    await progress()
    t.match(await web.abortedUpgrade(), { outcome: 'refused', sessions: { moved: 0, dropped: 0 } })
    await progress()
    t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 2 * CONNECTIONS, drained: 0, dropped: 0 } })
    await progress()
    t.match(await web.who(), { generation: 4, connections: 2 * CONNECTIONS + 1, errors: [] })
    t.same(await web.censusLike(before), before)
    for (const [index, load] of loads.entries()) {
      await load.stop()
      t.same(load.wrong, [])
      t.equal(posters[index]?.opened, CONNECTIONS, 'the connections it had opened at first')
      t.same([...load.generations], [1, 2, 4])
    }
    t.equal((await web.supervisor.stop()).exitCode, 0)
  })
}

t.test('curl: one connection for all', { skip: noCurl && 'curl is not installed' }, async (t) => {
  const web = await Web.start(t)
  const said = '%{num_connects} %{http_code} %header{x-generation}\n'
  const url = `http://127.0.0.1:${web.port}/echo?[1-1000000]`
  const curl = startChild(t, 'curl', ['--silent', '--output', '/dev/null', '--write-out', said, '--data', 'hello', url])
  for (let generation = 1; generation <= 3; generation++) {
    await curl.line(new RegExp(`^(?!\\d+ 200 [^${generation}])`), curl.lines.length)
    if (generation < 3) t.match(await web.upgrade(), { outcome: 'committed', sessions: { dropped: 0 } })
  }
  const seen = curl.lines.length
  await until(() => curl.lines.length > seen + 50, 'more')
  await curl.kill('SIGTERM')
  t.match(curl.lines[0], /^1 200 1$/)
  t.same(
    curl.lines.slice(1).filter((line) => !/^0 200 [123]$/.test(line)),
    [],
    `${curl.lines.length} requests, no other connection, none failed`,
  )
  t.equal((await web.supervisor.stop()).exitCode, 0)
})
