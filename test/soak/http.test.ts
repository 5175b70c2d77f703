/**
 * Clients that keep their connections and POST all the time see no reset, however often the server is upgraded. Here some
 * thousand requests; `npm run test:soak:http` sends 100,000, `-- --requests N` others.
 */
import t from 'tap'
import { Web } from '../harness/http.js'
import { agentPoster, HttpLoad, undiciPoster } from '../harness/http-load.js'
import { scaled } from '../harness/timeout.js'

const REQUESTS = Number(process.env['HANDOVER_HTTP_REQUESTS'] ?? 5_000)
const CONNECTIONS = 16

t.setTimeout(scaled(110_000))

t.test(`${REQUESTS} POSTs on ${CONNECTIONS} connections`, async (t) => {
  const web = await Web.start(t, ['--work', '2', '--server', '{"keepAliveTimeout":600000}'])
  const posters = [undiciPoster(web.port, CONNECTIONS / 2), agentPoster(web.port, CONNECTIONS / 2)]
  const loads = posters.map((poster) => new HttpLoad(poster, CONNECTIONS / 2))
  const answered = () => loads.reduce((sum, { requests }) => sum + requests, 0)
  const isWrong = () => loads.some(({ wrong }) => wrong.length > 0)
  await Promise.all(loads.map((load) => load.progress()))
  const before = await web.census()
  let upgrades = 0
  let followed = 0
  const pauses: number[] = []
  while (answered() < REQUESTS && !isWrong()) {
    const { outcome, sessions, followed: later, pauseMs } = await web.upgrade()
    if (outcome !== 'committed' || sessions.moved !== CONNECTIONS || sessions.dropped + sessions.drained > 0)
      t.fail(JSON.stringify({ outcome, sessions }))
    upgrades++
    followed += later.sessions
    pauses.push(pauseMs?.max ?? 0)
    await Promise.all(loads.map((load) => load.progress()))
  }
  t.ok(upgrades > 1, `${upgrades} upgrades`)
  t.ok(followed > 0, `${followed} connections had a request under way, and followed`)
  t.same(await web.censusLike(before), before)
  for (const [index, load] of loads.entries()) {
    await load.stop()
    t.same(load.wrong, [])
    t.equal(posters[index]?.opened, CONNECTIONS / 2)
  }
  const longest = Math.max(...pauses).toFixed(1)
  t.comment(`${answered()} POSTs, ${upgrades} upgrades, the longest pause was ${longest} ms`)
  t.equal((await web.supervisor.stop()).exitCode, 0)
})
