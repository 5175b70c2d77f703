/**
 * Rows of docs/support.md: for each library and version a connection is taken from the oldest Node through each other line and
 * back. With HANDOVER_RECORD_SUPPORT=1 the rows are written, else compared.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { root } from '../../docs/source.js'
import { cleanEnvironment } from '../../harness/child.js'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../../harness/node-versions.js'
import { startSupervisor } from '../../harness/supervisor.js'
import { CLIENTS } from './clients.js'
import { SUBJECTS, type Subject } from './programs.js'

const PAGE = `${root}docs/support.md`
const run = promisify(execFile)
const [oldest, ...newer] = NODE_MAJORS as [number, ...number[]]

/** Runs the subjects of those adapters, and holds their rows against the page. */
export async function rowsOf(t: Test, adapters: RegExp): Promise<void> {
  const binaries = new Map<number, string>()
  for (const major of NODE_MAJORS) {
    const binary = await nodeBinary(major)
    if (binary !== undefined) binaries.set(major, binary)
  }
  const missing = NODE_MAJORS.filter((major) => !binaries.has(major))
  const rows: string[] = []
  await t.test('every library and version', { skip: missing.length > 0 && `${missing}: ${NO_NODE}` }, async (t) => {
    for (const subject of SUBJECTS.filter(({ adapter }) => adapters.test(adapter))) {
      for (const version of subject.versions.length === 0 ? [undefined] : subject.versions) {
        const name = [subject.adapter, subject.library, version].join(' ')
        await t.test(name, async (t) => {
          const { command, exact } = await install(t, subject, version)
          const moves = await walk(t, command, subject, binaries)
          const marks = NODE_MAJORS.map((major) => (moves.has(major) ? 'moves' : 'no'))
          rows.push(`| ${[subject.adapter, subject.library, exact || 'of Node', ...marks].join(' | ')} |`)
        })
      }
    }
  })
  if (missing.length > 0) return
  await t.test('the table in the docs says so', async (t) => {
    const page = readFileSync(PAGE, 'utf8')
    if (process.env['HANDOVER_RECORD_SUPPORT'] === '1') writeFileSync(PAGE, withRows(page, adapters, rows))
    // The newest patch of a version changes by itself.
    else t.same(rowsIn(page, adapters).map(withoutPatch), rows.map(withoutPatch))
  })
}

/** A folder with the program, this package, and the library in that version; and which one npm chose. */
async function install(t: Test, { library, packages = [], program }: Subject, version: string | undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'handover-support-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const modules = join(folder, 'node_modules')
  mkdirSync(modules)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "name": "support", "version": "1.0.0" }')
  writeFileSync(join(folder, 'server.js'), program)
  let exact = ''
  if (version !== undefined) {
    const wanted = [`${library}@${version}`, ...packages]
    const flags = ['--silent', '--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--prefer-offline']
    await run('npm', ['install', ...flags, ...wanted], { cwd: folder, env: cleanEnvironment() })
    exact = JSON.parse(readFileSync(join(modules, library, 'package.json'), 'utf8')).version
  }
  symlinkSync(root, join(modules, 'handover'))
  return { command: ['node', join(folder, 'server.js')], exact }
}

/** Over one connection, from line to line. Returns the lines that took it over, and gave it on. */
async function walk(
  t: Test,
  command: readonly string[],
  subject: Subject,
  binaries: ReadonlyMap<number, string>,
): Promise<Set<number>> {
  const moves = new Set<number>()
  const supervisor = startSupervisor(t, { command, options: ['--node', binaries.get(oldest) as string] })
  const port = Number((await supervisor.child.line(/^port (\d+)$/))[1])
  const client = await CLIENTS[subject.client](port)
  let isOpen = true
  const close = () => {
    if (isOpen) client.close()
    isOpen = false
  }
  t.teardown(close)
  t.equal(await client.who(), 1)
  for (const [index, major] of [...newer, oldest].entries()) {
    const { json, lines } = await supervisor.upgrade('--node', binaries.get(major) as string)
    const { outcome, sessions } = json ?? {}
    // A client that polls is not bound to a connection: the one of its last poll is ended behind the answer.
    const mayDrain = subject.client === 'socket.io polling'
    const isMoved = outcome === 'committed' && sessions?.dropped === 0 && (mayDrain || sessions.drained === 0)
    t.ok(isMoved, `to Node ${major}`, { lines: [...lines, ...supervisor.child.lines.slice(-20)] })
    if (!isMoved) break
    while ((await client.who()) < index + 2);
    moves.add(major)
  }
  close()
  t.equal((await supervisor.stop()).exitCode, 0)
  t.same(supervisor.processes(), [])
  return moves
}

const cellsOf = (row: string): string[] => row.split('|').map((cell) => cell.trim())
const isRow = (line: string): boolean => line.startsWith('| ') && !/^\| (adapter|-+) /.test(line)

function rowsIn(page: string, adapters: RegExp): string[] {
  return page.split('\n').filter((line) => isRow(line) && adapters.test(cellsOf(line)[1] as string))
}

function withRows(page: string, adapters: RegExp, rows: readonly string[]): string {
  const others = page.split('\n').filter((line) => isRow(line) && !adapters.test(cellsOf(line)[1] as string))
  const order = (row: string) => SUBJECTS.findIndex(({ adapter }) => adapter === cellsOf(row)[1])
  const all = [...others, ...rows].sort((a, b) => order(a) - order(b))
  const rest = page.split('\n').filter((line) => !isRow(line))
  const heading = rest.findIndex((line) => line.startsWith('| ---'))
  return [...rest.slice(0, heading + 1), ...all, ...rest.slice(heading + 1)].join('\n')
}

const withoutPatch = (text: string): string => text.replace(/(\d+\.\d+)\.\d+/g, '$1')
