/** HTTP exchanges cut at every byte: the upgrade comes there, aborted and committed, and the rest is sent after it. */
import t from 'tap'
import { Web } from '../harness/http.js'
import { answersOf, cutEverywhere, notAnsweredBy, sendRest } from '../harness/http-cuts.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

t.test('at every byte: an upgrade that is aborted, then one that is committed', async (t) => {
  const web = await Web.start(t, ['--server', '{"keepAliveTimeout":600000}'])
  const expected = await answersOf(web)

  const aborted = await cutEverywhere(web, expected)
  t.match(await web.abortedUpgrade(), { outcome: 'refused', sessions: { moved: 0, dropped: 0 } })
  t.same(await sendRest(aborted), [], `${aborted.length} cuts, after an abort: each byte is as ever`)
  t.same(await notAnsweredBy(aborted, 1), [])

  const cuts = await cutEverywhere(web, expected)
  const upgrade = web.upgrade()
  await web.supervisor.child.line(/^ready .* generation=3 /)
  t.same(await sendRest(cuts), [], `${cuts.length} cuts, after a commit: each byte is as ever`)
  const all = cuts.length + aborted.length
  const { outcome, sessions, followed, reasons } = await upgrade
  t.match({ outcome, sessions }, { outcome: 'committed', sessions: { moved: all, dropped: 0, refused: 0, drained: 0 } })
  t.comment(JSON.stringify({ sessions, followed, reasons }))
  t.same(await notAnsweredBy(cuts, 3), [])
  t.same(await notAnsweredBy(aborted, 3), [])
  t.equal((await web.who()).connections, all + 1)
  t.same((await web.who()).errors, [])
  for (const { client } of [...cuts, ...aborted]) client.socket.destroy()
  t.equal((await web.supervisor.stop()).exitCode, 0)
})
