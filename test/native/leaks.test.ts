/** Thousands of rounds with the collector at hand: descriptors and memory are afterwards what they were before. */
import t from 'tap'
import { addonPath, runScript } from './script.js'

const MAX_GROWTH_MIB = 12

interface Growth {
  readonly descriptors: number
  readonly rssMiB: number
}

function growthOf(round: string, rounds: number): { growth: Growth | undefined; stderr: string } {
  const { said, stderr } = runScript(
    `
    const into = Buffer.alloc(1000)
    const byte = Buffer.from('x')
    const settle = async () => { for (let i = 0; i < 5; i++) { globalThis.gc(); await turn() } }
    const repeat = async (count) => { for (let i = 0; i < count; i++) { await round(); if (i % 100 === 0) await turn() } await settle() }
    const round = async () => { ${round} }
    await repeat(${Math.ceil(rounds / 4)})
    const before = { descriptors: openDescriptors(), rss: process.memoryUsage.rss() }
    await repeat(${rounds})
    say({
      descriptors: openDescriptors() - before.descriptors,
      rssMiB: (process.memoryUsage.rss() - before.rss) / 2 ** 20,
    })
    `,
    { flags: ['--expose-gc', '--max-semi-space-size=1'] },
  )
  return { growth: said[0] as Growth | undefined, stderr }
}

const rounds: Record<string, [round: string, count: number]> = {
  'messages with descriptors': [
    `const [left, right] = b.socketpair()
     b.send(left, byte, [left, right, left])
     for (const fd of b.receive(right, into).descriptors) b.close(fd)
     b.close(left); b.close(right)`,
    20_000,
  ],
  'messages whose descriptors are thrown away': [
    `const [left, right] = b.socketpair()
     b.send(left, into, Array.from({ length: 100 }, () => left))
     if (caught(() => b.receive(right, byte)).code !== 'EMSGSIZE') throw new Error('not cut')
     b.close(left); b.close(right)`,
    5_000,
  ],
  'messages nobody receives': [
    `const [left, right] = b.socketpair()
     b.send(left, byte, [left, right])
     b.close(left); b.close(right)`,
    10_000,
  ],
  'calls that fail': [
    `caught(() => b.listenTcp('203.0.113.1', 0, 1, false))
     caught(() => b.listenTcp('name', 0, 1, false))
     caught(() => b.bindUdp('203.0.113.1', 0, false, true, true))
     caught(() => b.listenUnix('/proc/none', 1, 0o600))
     caught(() => b.watch(1000000, () => {}))
     caught(() => b.send(1000000, byte, [1]))
     caught(() => b.memfd(1))`,
    20_000,
  ],
  'memory files, pidfds and listeners': [
    `for (const fd of [b.memfd('x'), b.pidfdOpen(process.pid), b.listenTcp('127.0.0.1', 0, 1, false), b.bindUdp('127.0.0.1', 0, false, false, false), b.duplicate(0)]) b.close(fd)`,
    10_000,
  ],
  'programs that were started, or could not be': [
    `const { pidfd } = b.spawn('true', ['true'], ['X=1'], '/', [0, 1, 2], true, [])
     b.poll([pidfd], [POLLIN], -1)
     b.pidfdWait(pidfd)
     b.close(pidfd)
     caught(() => b.spawn('none', ['none'], [], '/', [0, 1, 2], false, []))`,
    200,
  ],
  'messages to a notify socket': [
    `globalThis.count = (globalThis.count ?? 0) + 1
     const fd = b.bindNotify('handover-leak-' + process.pid + '-' + count)
     caught(() => b.bindNotify('handover-leak-' + process.pid + '-' + count))
     b.receive(fd, into)
     b.close(fd)`,
    5_000,
  ],
  'watchers that were closed': [
    `const [left, right] = b.socketpair()
     const watcher = b.watch(right, () => { b.receive(right, into) })
     watcher.start(POLLIN)
     b.send(left, byte, [])
     await turn()
     watcher.close()
     b.close(left); b.close(right)`,
    20_000,
  ],
  // The collector closes them: their descriptors may be closed only after that, so they share one pair.
  'watchers that were stopped and forgotten': [
    `globalThis.pair ??= b.socketpair()
     const watcher = b.watch(pair[0], () => {})
     watcher.start(POLLIN)
     watcher.stop()`,
    20_000,
  ],
}

for (const [name, [round, count]] of Object.entries(rounds)) {
  t.test(`nothing is left after ${count} rounds of ${name}`, async (t) => {
    const { growth, stderr } = growthOf(round, count)
    t.equal(growth?.descriptors, 0, stderr)
    const rssMiB = growth?.rssMiB ?? Number.NaN
    t.ok(rssMiB < MAX_GROWTH_MIB, `memory grew by ${rssMiB.toFixed(1)} MiB`)
    t.comment(`${name}: ${rssMiB.toFixed(1)} MiB`)
  })
}

t.test('nothing is left after workers that ended with active watchers', async (t) => {
  const { said, stderr } = runScript(
    `
    import { Worker } from 'node:worker_threads'
    import { once } from 'node:events'
    const watches = \`
      import { createRequire } from 'node:module'
      import { parentPort, workerData } from 'node:worker_threads'
      const b = createRequire('/')(workerData.addon)
      for (const fd of workerData.fds) b.watch(fd, () => {}).start(1)
      parentPort.postMessage('started')\`
    const plain = "import { parentPort } from 'node:worker_threads'; parentPort.postMessage('started')"
    const pairs = Array.from({ length: 100 }, () => b.socketpair())
    const addon = process.env.ADDON_PATH
    const grows = async (body, rounds) => {
      globalThis.gc()
      const before = { descriptors: openDescriptors(), rss: process.memoryUsage.rss() }
      for (let i = 0; i < rounds; i++) {
        const worker = new Worker(body, { eval: true, workerData: { addon, fds: pairs.flat() } })
        await once(worker, 'message')
        await worker.terminate()
      }
      globalThis.gc()
      return { descriptors: openDescriptors() - before.descriptors, rssMiB: (process.memoryUsage.rss() - before.rss) / 2 ** 20 }
    }
    await grows(watches, 15)
    // What any worker leaves, of Node or of a sanitizer: not the addon's.
    const floor = await grows(plain, 40)
    const { descriptors, rssMiB } = await grows(watches, 40)
    say({ descriptors, rssMiB: rssMiB - Math.max(0, floor.rssMiB), floor: floor.rssMiB })
    `,
    { flags: ['--expose-gc'], env: { ADDON_PATH: addonPath } },
  )
  const growth = said[0] as (Growth & { readonly floor: number }) | undefined
  t.equal(growth?.descriptors, 0, stderr)
  const found = `memory grew by ${growth?.rssMiB.toFixed(1)} MiB more than with workers of no addon (${growth?.floor.toFixed(1)})`
  t.ok((growth?.rssMiB ?? Number.NaN) < 2 * MAX_GROWTH_MIB, found)
  t.comment(found)
})
