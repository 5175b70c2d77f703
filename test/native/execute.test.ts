/** execve(2): another program in the same process, with the descriptors it is left. */
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { binding } from '../../src/sys/binding.js'

const addon = JSON.stringify(join(process.cwd(), 'build/Release/handover.node'))

/** What that script prints, in a Node of its own, which has a descriptor 3. */
function run(script: string): string[] {
  const file = openSync('/dev/null', 'r')
  try {
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', `const b = require(${addon}); ${script}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe', file],
    })
    if (stderr !== '') throw new Error(stderr)
    return stdout.trim().split('\n')
  } finally {
    closeSync(file)
  }
}

const SHOW = 'echo $$ $ONLY $HOME; for fd in 0 1 2 3; do [ -e /proc/$$/fd/$fd ] && printf "$fd "; done; echo'
const SHELL = `${JSON.stringify(['sh', '-c', SHOW])}, ['ONLY=this']`

for (const stays of [
  [0, 1, 2, 3],
  [0, 1, 2],
]) {
  t.test(`the same process, its environment, and descriptors ${stays}`, async (t) => {
    const all = `for (const fd of [0, 1, 2, 3]) b.setCloseOnExec(fd, !${JSON.stringify(stays)}.includes(fd));`
    const [before, now, descriptors] = run(`console.log(process.pid); ${all} b.execute('/bin/sh', ${SHELL})`)
    t.equal(now, `${before} this`)
    t.equal(descriptors, stays.join(' '))
  })
}

t.test('a program that is not there: all goes on', async (t) => {
  t.throws(() => binding().execute('/nowhere/at/all', ['x'], []), { code: 'ENOENT', syscall: 'execve' })
  t.throws(() => binding().execute('/etc/passwd', ['x'], []), { code: 'EACCES', syscall: 'execve' })
  t.throws(() => binding().execute(undefined as never, ['x'], []), { name: 'TypeError' })
  t.throws(() => binding().execute('/bin/true', ['a\0b'], []), { name: 'TypeError' })
})
