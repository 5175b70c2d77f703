/** What the app does with a socket inside `restore` reaches the client after commit, and never when the upgrade is aborted. */
import assert from 'node:assert/strict'
import { Puppet } from '../../harness/puppet.js'
import type { Scenario } from '../../harness/scenario.js'

const writes: Scenario = {
  name: 'writes in restore',
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => void socket.write('1'))
    await puppet.onRestore((socket, session, { generation }) => {
      socket.write(`restored in ${generation} `, () => console.log(`written label=${session.label} in ${generation}`))
      socket.write(Buffer.from('! '))
    })
    yield
    await puppet.serve((socket) => void socket.write(' aborted '))
    await puppet.gets(10)
    yield
    await puppet.gets(26)
    await puppet.serve((socket) => void socket.end('end'))
    await puppet.isEnded()
    assert.equal(puppet.received.toString(), '1 aborted restored in 3 ! end')
    const { lines } = stage.supervisor.child
    const said = lines.filter((line) => line.startsWith(`written label=${puppet.label} `))
    assert.deepEqual(said, [`written label=${puppet.label} in 3`])
  },
}

const ends: Scenario = {
  name: 'end() in restore',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.onRestore((socket, _session, { generation }) => socket.end(`bye from ${generation}`))
    yield
    await puppet.serve((socket) => void socket.write('still here, '))
    await puppet.gets(12)
    assert.equal(puppet.ended, false)
    yield
    await puppet.isEnded()
    assert.equal(puppet.received.toString(), 'still here, bye from 3')
    // The client's side is still open.
    puppet.send('more')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'more')
    puppet.client.end()
  },
}

const destroys: Scenario = {
  name: 'destroy() in restore',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.onRestore((socket) => socket.destroy())
    yield
    assert.equal(await puppet.serve((socket) => socket.destroyed), false)
    puppet.send('ping')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'ping')
    await puppet.serve((socket) => void socket.write('pong'))
    await puppet.gets(4)
    assert.equal(puppet.ended, false)
    yield
    await puppet.isEnded()
    assert.equal(puppet.received.toString(), 'pong')
    assert.equal(puppet.error, undefined)
    const left = await stage.run(
      ({ puppets }, label) => [...puppets].filter(([, s]) => s.label === label).length,
      puppet.label,
    )
    assert.equal(left, 0, 'and it is no session any more')
    puppet.client.destroy()
  },
}

const pauses: Scenario = {
  name: 'pause() in restore, of a socket that was flowing',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.onRestore((socket) => socket.pause())
    yield
    puppet.send('one ')
    await puppet.sees((_socket, session) => session.bytes.length === 4)
    yield
    puppet.send('two')
    assert.equal(await puppet.serve((socket) => socket.isPaused()), true)
    assert.equal(await puppet.heard(), 'one ')
    await puppet.serve((socket) => void socket.resume())
    await puppet.sees((_socket, session) => session.bytes.toString() === 'one two')
    puppet.client.destroy()
  },
}

const resumes: Scenario = {
  name: 'resume() in restore, of a socket that was paused with unread bytes',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => void socket.pause())
    puppet.send('unread ')
    await puppet.sees((socket) => socket.readableLength === 7)
    await puppet.onRestore((socket) => socket.resume())
    yield
    assert.equal(await puppet.heard(), '')
    assert.equal(await puppet.serve((socket) => socket.readableLength), 7)
    puppet.send('in the kernel')
    yield
    await puppet.sees((_socket, session) => session.bytes.toString() === 'unread in the kernel')
    puppet.client.destroy()
  },
}

const events: Scenario = {
  name: "an idle session: nothing but 'connect' in the successor, nothing in the predecessor",
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    yield
    yield
    assert.deepEqual((await puppet.session()).events, ['3 connect'])
    puppet.send('x')
    await puppet.sees((_socket, session) => session.bytes.length === 1)
    const lines = stage.supervisor.child.lines.filter((line) => line.includes(`label=${puppet.label} `))
    assert.deepEqual(lines, [`event generation=3 label=${puppet.label} connect`])
    assert.equal(puppet.ended, false)
    assert.equal(puppet.error, undefined)
    puppet.client.destroy()
  },
}

export const restore: readonly Scenario[] = [writes, ends, destroys, pauses, resumes, events]
