import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { adminSocketPath, adminSocketPaths, prepareDirectory } from '../../src/supervisor/directory.js'
import { startNode } from '../harness/child.js'

const folder = mkdtempSync(join(tmpdir(), 'handover-directory-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const unsafe = (message: RegExp) => ({ code: 'HANDOVER_DIRECTORY_UNSAFE', message })

t.test('where the admin socket is', async (t) => {
  t.equal(adminSocketPath('chat', { XDG_RUNTIME_DIR: '/run/user/7' }), '/run/user/7/handover/chat/admin.sock')
  t.equal(adminSocketPath('chat', {}), '/run/handover/chat/admin.sock')
  t.equal(adminSocketPath('chat', { XDG_RUNTIME_DIR: '' }), '/run/handover/chat/admin.sock')
})

t.test('who asks looks in the own place first, then in that of the system', async (t) => {
  t.same(adminSocketPaths('chat', { XDG_RUNTIME_DIR: '/run/user/7' }), [
    '/run/user/7/handover/chat/admin.sock',
    '/run/handover/chat/admin.sock',
  ])
  t.same(adminSocketPaths('chat', {}), ['/run/handover/chat/admin.sock'])
})

t.test('names', async (t) => {
  for (const good of ['a', 'A.b-c_9', '9', 'x'.repeat(64)]) t.match(adminSocketPath(good, {}), `/${good}/`)
  for (const bad of ['', '.', '..', '../x', 'a/b', '-a', '.a', 'a b', 'a\n', 'x'.repeat(65), 'ž', 'a\0']) {
    t.throws(
      () => adminSocketPath(bad, {}),
      { code: 'HANDOVER_USAGE', message: /must be 1 to 64 letters/ },
      JSON.stringify(bad),
    )
  }
})

t.test('a path the kernel has no room for', async (t) => {
  const rest = '/handover/chat/admin.sock'.length
  const longest = `/${'d'.repeat(107 - rest - 1)}`
  t.equal(adminSocketPath('chat', { XDG_RUNTIME_DIR: longest }).length, 107)
  const tooLong = { code: 'HANDOVER_USAGE', message: /longer than the 107 bytes/ }
  t.throws(() => adminSocketPath('chat', { XDG_RUNTIME_DIR: `${longest}d` }), tooLong)
  t.throws(() => adminSocketPath('chat', { XDG_RUNTIME_DIR: `/${'ž'.repeat(60)}` }), tooLong, 'bytes, not characters')
})

t.test('makes both folders with mode 0700, whatever the umask', async (t) => {
  const path = join(folder, 'new', 'chat')
  mkdirSync(folder, { recursive: true })
  const before = process.umask(0)
  t.teardown(() => process.umask(before))
  prepareDirectory(path)
  t.equal(lstatSync(path).mode & 0o777, 0o700)
  t.equal(lstatSync(join(path, '..')).mode & 0o777, 0o700)
  prepareDirectory(path)
  t.pass('and a second time they are there')
})

t.test('unsafe folders', async (t) => {
  const make = (name: string): string => {
    const path = join(folder, name, 'chat')
    prepareDirectory(path)
    return path
  }
  for (const mode of [0o750, 0o701, 0o777]) {
    const path = make(`mode-${mode}`)
    chmodSync(path, mode)
    t.throws(() => prepareDirectory(path), unsafe(new RegExp(`with mode 0${mode.toString(8)}; it must be`)))
    chmodSync(path, 0o700)
    prepareDirectory(path)
  }
  for (const mode of [0o720, 0o702, 0o777]) {
    const path = make(`above-${mode}`)
    chmodSync(join(path, '..'), mode)
    t.throws(() => prepareDirectory(path), unsafe(/not to be written to by others/), 'nor the one above')
    chmodSync(join(path, '..'), 0o755)
    prepareDirectory(path)
    t.pass('but to be looked into, as systemd makes it')
  }
  const real = make('real')
  mkdirSync(join(folder, 'linked'), { mode: 0o700 })
  symlinkSync(real, join(folder, 'linked', 'chat'))
  t.throws(() => prepareDirectory(join(folder, 'linked', 'chat')), unsafe(/is not a directory/), 'a symbolic link')
  symlinkSync(join(folder, 'real'), join(folder, 'link'))
  t.throws(() => prepareDirectory(join(folder, 'link', 'other')), unsafe(/is not a directory/), 'above, too')
  mkdirSync(join(folder, 'file'), { mode: 0o700 })
  writeFileSync(join(folder, 'file', 'chat'), '')
  t.throws(() => prepareDirectory(join(folder, 'file', 'chat')), unsafe(/is not a directory/), 'a file')
  t.throws(() => prepareDirectory(join(folder, 'nowhere', 'handover', 'chat')), unsafe(/cannot be made/), 'no parent')
  if (process.geteuid?.() === 0) {
    const path = make('foreign')
    chownSync(path, 65534, 65534)
    t.throws(() => prepareDirectory(path), unsafe(/belongs to user 65534/))
  }
})

t.test('handover run does not start in one', async (t) => {
  const path = mkdtempSync(join(folder, 'run-'))
  mkdirSync(join(path, 'handover'))
  chmodSync(join(path, 'handover'), 0o777)
  const child = startNode(t, 'src/cli/main.js', ['run', '--json', '--', 'true'], { env: { XDG_RUNTIME_DIR: path } })
  t.equal((await child.closed).code, 1)
  t.match(child.lines.join('\n'), /HANDOVER_DIRECTORY_UNSAFE/)
})
