/** Pages of docs: what looks like a program is one. A whole server is run under a supervisor and upgraded; anything else is parsed. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startChild } from '../harness/child.js'
import { startSupervisor } from '../harness/supervisor.js'
import { scaled, within } from '../harness/timeout.js'
import { blocksOf, root } from './source.js'

t.setTimeout(scaled(120_000))

/** A server is a block that begins with its file's name: `// server.js`. */
const FILE = /^\/\/ ([\w-]+\.m?js)\n/

/** A directory with this package, and all that it is developed with, in its node_modules. */
function project(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'handover-docs-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const modules = join(folder, 'node_modules')
  mkdirSync(modules)
  symlinkSync(root, join(modules, 'handover'))
  for (const name of readdirSync(`${root}node_modules`)) {
    if (!name.startsWith('.') && name !== 'handover') symlinkSync(`${root}node_modules/${name}`, join(modules, name))
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "name": "docs", "version": "1.0.0" }')
  return folder
}

for (const page of readdirSync(`${root}docs`).filter((name) => name.endsWith('.md'))) {
  const blocks = blocksOf(`docs/${page}`).filter(({ language }) => language === 'js')
  const servers = blocks.filter(({ code }) => FILE.test(code))
  const pieces = blocks.filter(({ code }) => !FILE.test(code))

  for (const [index, { code }] of servers.entries()) {
    const [, file = ''] = FILE.exec(code) as RegExpExecArray
    t.test(`docs/${page}: ${file} (${index + 1}) serves, and is upgraded`, async (t) => {
      const folder = project(t)
      // The page's port may be taken on a test machine: the kernel chooses one.
      writeFileSync(join(folder, file), code.replaceAll(/\bport: \d+/g, 'port: 0'))
      const supervisor = startSupervisor(t, { command: ['node', join(folder, file)] })
      await supervisor.child.line(/"msg":"serving"/)
      const { exitCode, json, lines } = await supervisor.upgrade()
      t.equal(exitCode, 0, [...lines, ...supervisor.child.lines].join('\n'))
      t.match(json, { outcome: 'committed' })
      t.equal((await supervisor.stop()).exitCode, 0)
      t.same(supervisor.processes(), [])
    })
  }

  if (pieces.length === 0) continue
  t.test(`docs/${page}: ${pieces.length} pieces are JavaScript`, async (t) => {
    const folder = project(t)
    for (const [index, { code }] of pieces.entries()) {
      const file = join(folder, `${index}.mjs`)
      writeFileSync(file, code)
      const child = startChild(t, process.execPath, ['--check', file], {})
      t.equal((await within(child.closed, 'node --check')).code, 0, child.lines.join('\n'))
    }
  })
}

t.test('links to files lead somewhere', async (t) => {
  for (const page of readdirSync(`${root}docs`).filter((name) => name.endsWith('.md'))) {
    for (const [, target] of readFileSync(`${root}docs/${page}`, 'utf8').matchAll(
      /\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g,
    ))
      t.ok(existsSync(join(root, 'docs', target as string)), `docs/${page}: ${target}`)
  }
})
