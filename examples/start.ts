/**
 * `npm start` in a terminal: a chat with a web page stays up, to be upgraded before one's eyes. Elsewhere, and with `--demo`: a
 * chat server over TCP is replaced under 1,000 live clients, and back; it ends with what happened, and with status 0 only if
 * nothing was lost. `--json`: the same as the last line of stdout. `--serve`: the page, terminal or not.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Crowd } from './start/crowd.js'
import { isClean, type Report, table } from './start/report.js'
import { serve } from './start/serve.js'
import { Service, TCP } from './start/supervisor.js'

const CLIENTS = 1_000
/** How long the clients talk undisturbed before, between and after the upgrades. */
const CALM_MS = 2_000

const { values: options } = parseArgs({
  options: {
    demo: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    serve: { type: 'boolean', default: false },
  },
})

const say = (text: string): unknown => (options.json ? process.stderr : process.stdout).write(`${text}\n`)

async function demonstrate(): Promise<boolean> {
  const startedAt = performance.now()
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => interrupted.abort())
  const service = await Service.start(
    TCP,
    (line) => process.env['HANDOVER_VERBOSE'] && process.stderr.write(`${line}\n`),
  )
  let crowd: Crowd | undefined
  try {
    say(`A chat server over TCP, release 1, serves port ${service.port}. ${CLIENTS} clients enter …`)
    crowd = await Crowd.enter(service.port, CLIENTS)
    crowd.tell({ order: 'period', period: 'between' })
    crowd.tell({ order: 'talk' })
    say('They talk all the time, and check every byte they receive.')
    const upgrades = []
    for (const release of ['chat-2', 'chat-1'] satisfies (keyof typeof TCP)[]) {
      await delay(CALM_MS, undefined, { signal: interrupted.signal })
      say(`handover upgrade -- node ${release === 'chat-2' ? 'release-2.js' : 'release-1.js'}`)
      crowd.tell({ order: 'period', period: 'upgrading' })
      const result = await service.upgrade(release)
      crowd.tell({ order: 'period', period: 'between' })
      upgrades.push(result)
      say(`  ${result.outcome}: ${result.sessions.moved} connections moved to process ${result.to.pid}`)
    }
    await delay(CALM_MS, undefined, { signal: interrupted.signal })
    const found = await crowd.finish()
    await service.stop()
    const figures = { upgrades, clients: CLIENTS, ...found, durationMs: Math.round(performance.now() - startedAt) }
    const report: Report = { ok: isClean(figures), ...figures }
    say(table(report))
    say('  To see it in a browser: npm start -- --serve\n')
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
    return report.ok
  } finally {
    await crowd?.disperse()
    await service.stop()
  }
}

try {
  const isWatched = process.stdin.isTTY && process.stdout.isTTY && !options.demo && !options.json
  const ok = options.serve || isWatched ? await serve(say) : await demonstrate()
  process.exitCode = ok ? 0 : 1
} catch (error) {
  process.stderr.write(`${error instanceof Error && error.name !== 'AbortError' ? error.message : 'interrupted'}\n`)
  process.exitCode = 1
}
