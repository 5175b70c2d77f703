/** `handover doctor`: what it finds here, and what it says of a machine where something is amiss. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCli } from '../harness/cli.js'
import { serving } from '../harness/stream.js'

interface Finding {
  readonly what: string
  readonly verdict: string
  readonly found: string
  readonly next?: string
}

/** A path with room for a socket's: of a test directory's 107 bytes are left too few. */
function shortFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'handover-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const doctor = async (directory: string, ...args: string[]) => {
  const { code, stdout } = await runCli(['doctor', '--json', ...args], { XDG_RUNTIME_DIR: directory })
  const findings = JSON.parse(stdout) as Finding[]
  return { code, findings, of: (what: string) => findings.find((each) => each.what === what) }
}

t.test('a machine that has what it takes', async (t) => {
  const folder = shortFolder(t)
  const { code, findings, of } = await doctor(folder)
  t.equal(code, 0)
  t.same(
    findings.filter(({ verdict }) => verdict === 'bad'),
    [],
  )
  t.equal(of('Node')?.found, process.versions.node)
  t.match(of('kernel')?.found, /pidfd, sealed memfd, SCM_RIGHTS, epoll$/)
  t.match(of('directory')?.found, /is made when a supervisor starts$/)
  t.match(of('supervisor')?.found, /none of the name "default" answers/)
  t.match(of('other Nodes')?.found, process.versions.node)
  const { stdout } = await runCli(['doctor'], { XDG_RUNTIME_DIR: folder })
  t.match(stdout, /^ok {7}Node {9}\d+\.\d+\.\d+\nok {7}addon {8}linux /)
})

t.test('one with a supervisor, asked by its name', async (t) => {
  const { supervisor } = await serving(t, { clients: 0 })
  const { of } = await doctor(supervisor.directory, '--name', supervisor.name)
  t.equal(of('supervisor')?.found, `"${supervisor.name}" runs as pid ${supervisor.child.pid}, with 1 processes`)
  t.match(of('directory'), { verdict: 'ok', found: join(supervisor.directory, 'handover', supervisor.name) })
})

t.test('a directory that others may write to, and none', async (t) => {
  const folder = shortFolder(t)
  mkdirSync(join(folder, 'handover'))
  chmodSync(join(folder, 'handover'), 0o777)
  const unsafe = await doctor(folder)
  t.equal(unsafe.code, 1)
  t.match(unsafe.of('directory'), { verdict: 'bad', found: /mode 0777; it must be this user's/ })
  t.match((await doctor(join(folder, 'none'))).of('directory'), { verdict: 'bad', next: /^Set XDG_RUNTIME_DIR/ })
})

t.test('few descriptors', async (t) => {
  const script = 'ulimit -n 300; exec "$0" "$@"'
  const { code, stdout } = await runCli(['doctor', '--json'], { XDG_RUNTIME_DIR: shortFolder(t) }, ['sh', '-c', script])
  t.equal(code, 0, 'a warning is no failure')
  t.match(
    (JSON.parse(stdout) as Finding[]).find(({ what }) => what === 'descriptors'),
    { verdict: 'warning', found: '300 (at most 300) for each process', next: /LimitNOFILE=/ },
  )
})
