/** Connections of which one side has ended. */
import assert from 'node:assert/strict'
import { Puppet } from '../../harness/puppet.js'
import type { Scenario } from '../../harness/scenario.js'

const seen: Scenario = {
  name: "the client has ended, and the app knows: 'end' is not told twice",
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => {
      socket.allowHalfOpen = true
    })
    puppet.client.end('last words')
    await puppet.sees((socket) => socket.readableEnded)
    yield
    await puppet.serve((socket) => void socket.write('one '))
    await puppet.gets(4)
    yield
    await puppet.serve((socket) => void socket.write('two'))
    await puppet.gets(7)
    assert.equal(puppet.received.toString(), 'one two')
    assert.equal(await puppet.heard(), 'last words')
    const { events } = await puppet.session()
    assert.deepEqual(events, ['1 end', '3 connect'])
    assert.equal(puppet.ended, false)
    await puppet.serve((socket) => void socket.end())
    await puppet.isEnded()
  },
}

const unread: Scenario = {
  name: "the client's FIN has come and the app has not read up to it",
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => {
      socket.allowHalfOpen = true
      socket.pause()
    })
    puppet.client.end('last words')
    await puppet.sees((socket) => socket.readableLength === 10)
    yield
    assert.deepEqual((await puppet.session()).events, [])
    yield
    assert.deepEqual((await puppet.session()).events, ['3 connect'])
    await puppet.serve((socket) => void socket.resume())
    await puppet.sees((socket) => socket.readableEnded)
    assert.equal(await puppet.heard(), 'last words')
    assert.deepEqual((await puppet.session()).events, ['3 connect', '3 end'])
    await puppet.serve((socket) => void socket.end('answer'))
    await puppet.isEnded()
    assert.equal(puppet.received.toString(), 'answer')
  },
}

const finished: Scenario = {
  name: 'the server has finished its side, the client goes on sending',
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => void socket.end('bye'))
    await puppet.isEnded()
    await puppet.sees((socket) => socket.writableFinished)
    puppet.send('still ')
    await puppet.sees((_socket, session) => session.bytes.length === 6)
    yield
    puppet.send('talking ')
    await puppet.sees((_socket, session) => session.bytes.length === 14)
    yield
    puppet.send('to you')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'still talking to you')
    assert.deepEqual(await puppet.serve((socket) => [socket.writableEnded, socket.writableFinished, socket.writable]), [
      true,
      true,
      false,
    ])
    puppet.client.end()
    await stage.supervisor.child.line(new RegExp(`^event generation=3 label=${puppet.label} close`))
    const events = stage.supervisor.child.lines.filter((line) => line.includes(`label=${puppet.label} `))
    assert.deepEqual(
      events.map((line) => `${/generation=(\d)/.exec(line)?.[1]} ${line.split(' ').at(-1)}`),
      ['1 finish', '3 connect', '3 end', '3 close'],
    )
    assert.equal(puppet.received.toString(), 'bye')
  },
}

function halfOpen(allow: boolean): Scenario {
  return {
    name: `allowHalfOpen ${allow} is kept`,
    everywhere: true,
    async *play(stage) {
      const puppet = await Puppet.open(stage)
      await puppet.serve((socket, _session, _tools, allow) => {
        socket.allowHalfOpen = allow
      }, allow)
      yield
      yield
      puppet.client.end('bye')
      if (allow) {
        await puppet.sees((socket) => socket.readableEnded)
        await puppet.serve((socket) => void socket.end('mine is still open'))
      }
      await puppet.isEnded()
      assert.equal(puppet.received.toString(), allow ? 'mine is still open' : '')
    },
  }
}

const reset: Scenario = {
  name: 'a connection the client has reset ends in the successor, and hinders no upgrade',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => void socket.pause())
    // Past the high-water mark Node stops to read, and so hears nothing of the reset.
    puppet.send(Buffer.alloc(300_000))
    await puppet.sees((socket) => socket.readableLength > socket.readableHighWaterMark)
    puppet.client.resetAndDestroy()
    yield
    assert.equal(await puppet.serve((socket) => socket.destroyed), false, 'the paused server has not noticed yet')
    yield
    const peer = await puppet.serve((socket) => [socket.remoteAddress, String(socket.remotePort)])
    assert.deepEqual(peer, ['127.0.0.1', puppet.label], 'the address stays known')
    await puppet.serve((socket) => void socket.resume())
    // With bytes unread before the reset libuv tells of an end, otherwise of ECONNRESET.
    await stage.supervisor.child.line(new RegExp(`^event generation=3 label=${puppet.label} close`))
  },
}

export const halves: readonly Scenario[] = [seen, unread, finished, halfOpen(true), halfOpen(false), reset]
