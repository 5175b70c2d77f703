/** Processes that decide together: whoever asks hears the same, whenever it asks and whoever is gone by then. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fstatSync } from 'node:fs'
import t from 'tap'
import { Ballot } from '../../src/sys/ballot.js'
import { binding, POLLIN } from '../../src/sys/binding.js'
import { cleanEnvironment, compiled } from '../harness/child.js'
import { openDescriptors } from './descriptors.js'

t.test('the first word stays', async (t) => {
  const before = openDescriptors()
  for (const [first, second] of [
    ['commit', 'abort'],
    ['abort', 'commit'],
  ] as const) {
    const ballot = Ballot.make()
    t.equal(ballot.verdict, undefined)
    t.equal(ballot.cast(first), first)
    t.equal(ballot.cast(second), first)
    t.equal(ballot.verdict, first)
    ballot.close()
    ballot.close()
  }
  t.same(openDescriptors(), before)
})

t.test('the bell wakes all, also when who made it ends without a word', async (t) => {
  const ballot = Ballot.make()
  const [box, bell] = ballot.descriptors.map((descriptor) => binding().duplicate(descriptor)) as [number, number]
  const other = new Ballot(box, bell)
  t.equal(binding().poll([other.bell], [POLLIN], 0)[0], 0)
  ballot.close()
  t.not(binding().poll([other.bell], [POLLIN], 0)[0], 0)
  t.equal(other.verdict, undefined)
  t.equal(other.cast('abort'), 'abort')
  other.close()
})

const ROUNDS = 100
const PROCESSES = 4
/** Casts into each, one after the other, and says what was decided in each. */
const SCRIPT = `
import { readSync } from 'node:fs'
import { Ballot } from ${JSON.stringify(compiled('src/sys/ballot.js'))}
const word = process.argv[1]
console.log('ready')
readSync(0, Buffer.alloc(1))
const said = []
for (let fd = 3; fd < ${3 + ROUNDS}; fd++) said.push(new Ballot(fd, -1).cast(word)[0])
console.log(said.join(''))
`

t.test(`${PROCESSES} processes cast at once, ${ROUNDS} times: all hear the same`, async (t) => {
  const ballots = Array.from({ length: ROUNDS }, () => Ballot.make())
  t.teardown(() => {
    for (const ballot of ballots) ballot.close()
  })
  const children = Array.from({ length: PROCESSES }, (_, index) =>
    spawn(process.execPath, ['--input-type=module', '-e', SCRIPT, index % 2 === 0 ? 'commit' : 'abort'], {
      env: cleanEnvironment(),
      stdio: ['pipe', 'pipe', 'inherit', ...ballots.map(({ descriptors: [box] }) => box)],
    }),
  )
  t.teardown(() => {
    for (const child of children) child.kill('SIGKILL')
  })
  const outputs = children.map((child) => {
    let text = ''
    ;(child.stdout as NonNullable<typeof child.stdout>).setEncoding('utf8').on('data', (more) => (text += String(more)))
    return { child, text: () => text }
  })
  await Promise.all(outputs.map(({ child }) => once(child.stdout as NonNullable<typeof child.stdout>, 'data')))
  const ends = children.map((child) => once(child, 'close'))
  for (const child of children) (child.stdin as NonNullable<typeof child.stdin>).end('g')
  await Promise.all(ends)
  const heard = outputs.map(({ text }) => text().trim().split('\n')[1])
  t.equal(heard[0]?.length, ROUNDS)
  t.equal(new Set(heard).size, 1, heard.join('\n'))
  t.equal(heard[0], ballots.map(({ verdict }) => verdict?.[0]).join(''))
  for (const { descriptors } of ballots) t.equal(fstatSync(descriptors[0]).size, PROCESSES, 'no word lies on another')
})
