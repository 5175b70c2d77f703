/** The memory for both is asked for before anything moves: a limit of the supervisor, and one of a real control group. */
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { memoryGroups } from '../../src/sys/memory.js'
import type { Teardown } from '../harness/child.js'
import { Puppet, Stage, type StageOptions } from '../harness/puppet.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const MiB = 1024 ** 2
const HELD = 100 * MiB

/** A server that holds 100 MB of Buffers, and one session. */
async function heavy(t: Test, options: StageOptions): Promise<{ stage: Stage; puppet: Puppet }> {
  const stage = await Stage.start(t, options)
  await stage.run((_tools, bytes) => {
    ;(globalThis as { held?: Buffer }).held = Buffer.alloc(bytes, 1)
  }, HELD)
  return { stage, puppet: await Puppet.open(stage) }
}

/** Refused before anything has moved; once the memory is free, the next upgrade works. */
async function isRefused(t: Test, { stage, puppet }: { stage: Stage; puppet: Puppet }, limit: RegExp): Promise<void> {
  const { exitCode, json } = await stage.supervisor.upgrade()
  t.equal(exitCode, 3)
  t.match(json, { outcome: 'refused', sessions: { moved: 0, dropped: 0, refused: 0 }, pauseMs: null })
  t.equal(json?.reasons.length, 1, 'one limit stands in the way', { reasons: json?.reasons })
  t.match(json?.reasons[0], { of: 'upgrade', count: 1, reason: limit })
  t.match(
    json?.reasons[0]?.reason,
    /^not enough memory: the successor \(\d[\d.]* MiB\) is expected to grow by \d[\d.]* MiB/,
  )
  t.same(
    json?.phases.map(({ phase }) => phase),
    ['spawn'],
    'nothing was begun',
  )
  const generation = await puppet.serve((_socket, _session, tools) => tools.generation)
  t.equal(generation, 1, 'the predecessor serves on')
  await stage.run(() => {
    delete (globalThis as { held?: Buffer }).held
    process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc')
    process.getBuiltinModule('node:vm').runInNewContext('gc')()
  })
  const good = await stage.supervisor.upgrade()
  t.match(good, { exitCode: 0, json: { sessions: { moved: 1 } } }, good.lines.join('\n'))
  puppet.client.destroy()
}

t.test('--memory-limit', async (t) => {
  const served = await heavy(t, { options: ['--memory-limit', '220M'] })
  await isRefused(t, served, /; \d[\d.]* MiB are left of the 220 MiB of --memory-limit: raise it$/)
})

t.test('--memory-limit that is enough', async (t) => {
  const { stage, puppet } = await heavy(t, { options: ['--memory-limit', '2G'] })
  t.match(await stage.supervisor.upgrade(), { exitCode: 0, json: { sessions: { moved: 1 } } })
  puppet.client.destroy()
})

/** A new control group below the own one, or why there can be none. */
function newGroup(t: Teardown): { folder: string; limitFile: string } | string {
  const own = memoryGroups(readFileSync('/proc/self/cgroup', 'latin1'), readFileSync('/proc/self/mountinfo', 'latin1'))
  const reasons: string[] = []
  for (const { type, folder } of own) {
    const group = join(folder, `handover-test-${process.pid}`)
    const limitFile = join(group, type === 'cgroup2' ? 'memory.max' : 'memory.limit_in_bytes')
    try {
      mkdirSync(group)
      t.teardown(() => rmdirSync(group))
      writeFileSync(limitFile, String(1024 * MiB))
      return { folder: group, limitFile }
    } catch (error) {
      reasons.push((error as Error).message)
    }
  }
  return `no control group for memory could be made: ${reasons.join('; ') || 'none is mounted'}`
}

const group = newGroup(t)
const skip = typeof group === 'string' && group

t.test('the limit of the control group the supervisor is in', { skip }, async (t) => {
  const { folder, limitFile } = group as Exclude<typeof group, string>
  const bin = mkdtempSync(join(tmpdir(), 'handover-group-'))
  t.teardown(() => rmSync(bin, { recursive: true }))
  const node = join(bin, 'node-in-group')
  writeFileSync(node, `#!/bin/sh\necho $$ > ${folder}/cgroup.procs && exec ${process.execPath} "$@"\n`, { mode: 0o755 })
  const served = await heavy(t, { supervisorNode: node })
  const usage = Number(readFileSync(limitFile.replace(/max$/, 'current').replace('limit', 'usage'), 'latin1'))
  t.ok(usage > HELD, `the group has ${usage} bytes`)
  // Room for the successor as it starts, and not for what it would grow by.
  writeFileSync(limitFile, String(usage + 110 * MiB))
  await isRefused(t, served, new RegExp(`; \\d[\\d.]* MiB are left of the \\d+ MiB of ${limitFile}: raise it$`))
  t.equal((await served.stage.supervisor.stop()).exitCode, 0)
  await until(() => readFileSync(join(folder, 'cgroup.procs'), 'latin1') === '', 'the end of all in the group')
})
