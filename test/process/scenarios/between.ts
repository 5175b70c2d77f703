/**
 * What happens to a session after it was copied and restored, and before the freeze. Act 2 lies there; act 3 comes after the end
 * of the upgrade, in the successor or back in the predecessor: the client must not be able to tell.
 */
import assert from 'node:assert/strict'
import { keystream } from '../../harness/keystream.js'
import { Puppet, type Stage } from '../../harness/puppet.js'
import type { Scenario } from '../../harness/scenario.js'

const BYTES = 8_000_000

const generationOf = (stage: Stage): Promise<number> => stage.run(({ generation }) => generation)
const hasMoved = async (stage: Stage): Promise<boolean> => (await generationOf(stage)) > 1

const writeMuch = (puppet: Puppet): Promise<number> =>
  puppet.serve((socket, _session, { pattern }, length) => {
    for (let at = 0; at < length; at += 100_000) socket.write(pattern(5, at, 100_000))
    return socket.writableLength
  }, BYTES)

const unsent: Scenario = {
  name: 'output becomes unsent: it comes before what restore has written',
  async *play(stage) {
    const puppet = await Puppet.open(stage, { paused: true })
    await puppet.onRestore((socket) => {
      socket.write('restored ')
      socket.write('early')
    })
    yield
    assert.ok((await writeMuch(puppet)) > 0, 'the kernel took it all: nothing is unsent')
    yield
    const after = (await hasMoved(stage)) ? 'restored early, late' : ', late'
    await puppet.serve((socket) => void socket.write(', late'))
    puppet.client.resume()
    await puppet.gets(BYTES + after.length)
    assert.ok(puppet.received.equals(Buffer.concat([keystream(5, 0, BYTES), Buffer.from(after)])))
    await puppet.sees((socket, _session, _tools, length) => socket.bytesWritten === length, BYTES + after.length)
    puppet.client.destroy()
  },
}

const more: Scenario = {
  name: 'output is unsent before, and more comes',
  async *play(stage) {
    const puppet = await Puppet.open(stage, { paused: true })
    assert.ok((await writeMuch(puppet)) > 0)
    yield
    await puppet.serve((socket) => void socket.write('between '))
    yield
    await puppet.serve((socket) => void socket.end('after'))
    puppet.client.resume()
    await puppet.isEnded()
    assert.ok(puppet.received.equals(Buffer.concat([keystream(5, 0, BYTES), Buffer.from('between after')])))
    puppet.client.destroy()
  },
}

function ends(isUnsent: boolean): Scenario {
  return {
    name: `end() ${isUnsent ? 'with megabytes unsent: the FIN comes after them, once' : 'with nothing unsent'}`,
    async *play(stage) {
      const puppet = await Puppet.open(stage, { paused: isUnsent })
      yield
      if (isUnsent) await writeMuch(puppet)
      await puppet.serve((socket) => void socket.end('the end'))
      if (!isUnsent) await puppet.isEnded()
      yield
      puppet.client.resume()
      await puppet.isEnded()
      const expected = Buffer.concat([keystream(5, 0, isUnsent ? BYTES : 0), Buffer.from('the end')])
      assert.ok(puppet.received.equals(expected))
      puppet.send('still open')
      await puppet.sees((_socket, session) => session.bytes.toString() === 'still open')
      await puppet.sees((_socket, session) => session.events.some((event) => event.endsWith('finish')))
      const finished = (await puppet.session()).events.filter((event) => event.endsWith('finish'))
      assert.equal(finished.length, 1, String(finished))
      puppet.client.end()
    },
  }
}

const fin: Scenario = {
  name: "the client's FIN comes, and the app is told: 'end' is not told twice",
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => {
      socket.allowHalfOpen = true
    })
    yield
    puppet.client.end('last words')
    await puppet.sees((socket) => socket.readableEnded)
    yield
    await puppet.serve((socket) => void socket.write('answer'))
    await puppet.gets(6)
    assert.equal(await puppet.heard(), 'last words')
    const told = (await puppet.session()).events.filter((event) => event.endsWith('end'))
    assert.deepEqual(told, ['1 end'])
    await puppet.serve((socket) => void socket.end())
    await puppet.isEnded()
  },
}

const pauses: Scenario = {
  name: 'pause(), and bytes that are read by Node alone',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    puppet.send('one ')
    await puppet.sees((_socket, session) => session.bytes.length === 4)
    yield
    await puppet.serve((socket) => void socket.pause())
    puppet.send('two ')
    await puppet.sees((socket) => socket.readableLength > 0)
    yield
    assert.equal(await puppet.serve((socket) => socket.isPaused()), true)
    puppet.send('three')
    assert.equal(await puppet.heard(), 'one ')
    await puppet.serve((socket) => void socket.resume())
    await puppet.sees((_socket, session) => session.bytes.toString() === 'one two three')
    puppet.client.destroy()
  },
}

const resumes: Scenario = {
  name: 'resume() of a socket that was paused, with unread bytes',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => void socket.pause())
    puppet.send('unread ')
    await puppet.sees((socket) => socket.readableLength === 7)
    yield
    await puppet.serve((socket) => void socket.resume())
    await puppet.sees((_socket, session) => session.bytes.length === 7)
    yield
    puppet.send('and read')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'unread and read')
    puppet.client.destroy()
  },
}

const halfALine: Scenario = {
  name: 'half a line, half a character',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => void socket.setEncoding('utf8'))
    await puppet.onRestore((socket) => void socket.setEncoding('utf8'))
    yield
    puppet.send(Buffer.from('ž€').subarray(0, 3))
    await puppet.sees((socket) => socket.bytesRead === 3)
    yield
    puppet.send(Buffer.from('ž€').subarray(3))
    await puppet.sees((_socket, session) => session.text === 'ž€')
    assert.equal(await puppet.serve((socket) => socket.bytesRead), 5)
    puppet.client.destroy()
  },
}

const options: Scenario = {
  name: 'setNoDelay, setKeepAlive, setTimeout',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    yield
    await puppet.serve((socket) => {
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 66_000)
      socket.setTimeout(600_000)
    })
    yield
    const look = () =>
      puppet.serve((socket, _session, { kernel, idleLeft }) => [socket.timeout, idleLeft(socket)!, kernel(socket)])
    const [timeout, left, kernel] = await look()
    assert.equal(timeout, 600_000)
    assert.ok((left as number) > 0 && (left as number) <= 600_000, `${left} ms left`)
    assert.deepEqual(kernel, { noDelay: true, keepAlive: true, keepAliveIdleSeconds: 66 })
    await puppet.serve((socket) => void socket.setNoDelay(false))
    assert.equal((await puppet.serve((socket, _session, { kernel }) => kernel(socket))).noDelay, false)
    puppet.client.destroy()
  },
}

const touched: Scenario = {
  name: 'another session changes its state, and says so',
  async *play(stage) {
    const [one, two] = [await Puppet.open(stage), await Puppet.open(stage)]
    yield
    await one.serve((_socket, _session, { puppets }, label) => {
      for (const [socket, session] of puppets) {
        if (session.label !== label) continue
        session.note = 'from the other'
        puppets.touch(socket)
      }
    }, two.label)
    yield
    assert.equal((await two.session()).note, 'from the other')
    for (const { client } of [one, two]) client.destroy()
  },
}

const goes: Scenario = {
  name: 'sessions end: each is forgotten once, and nothing is sent',
  async *play(stage) {
    const puppets = await Promise.all(['end', 'destroy', 'resetAndDestroy'].map(() => Puppet.open(stage)))
    yield
    const [one, two, three] = puppets as [Puppet, Puppet, Puppet]
    one.client.end()
    two.client.destroy()
    three.client.resetAndDestroy()
    const isGone = async ({ label }: Puppet): Promise<boolean> =>
      stage.run(({ puppets }, label) => ![...puppets].some(([, session]) => session.label === label), label)
    for (const puppet of puppets) while (!(await isGone(puppet)));
    yield
    const { lines } = stage.supervisor.child
    for (const { label } of puppets) {
      const forgotten = lines.filter((line) => line === `forget generation=2 label=${label}`)
      assert.ok(forgotten.length <= 1, 'twice')
      if (await hasMoved(stage)) assert.equal(forgotten.length, 1)
      const heard = lines.filter((line) => line.startsWith('event generation=2') && line.includes(`label=${label} `))
      assert.deepEqual(heard, [], 'the app hears nothing else of it')
    }
    await one.isEnded()
    for (const { received } of puppets) assert.equal(received.length, 0)
  },
}

const comes: Scenario = {
  name: 'a session opens',
  async *play(stage) {
    yield
    const puppet = await Puppet.open(stage)
    puppet.send('hello ')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'hello ')
    yield
    puppet.send('again')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'hello again')
    await puppet.serve((socket) => void socket.end('bye'))
    await puppet.isEnded()
    assert.equal(puppet.received.toString(), 'bye')
    puppet.client.destroy()
  },
}

const destroys: Scenario = {
  name: 'the app has destroyed its socket in restore: served until commit, and no longer',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.onRestore((socket) => socket.destroy())
    yield
    puppet.send('ping')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'ping')
    await puppet.serve((socket) => void socket.write('pong'))
    await puppet.gets(4)
    yield
    if (await hasMoved(stage)) {
      await puppet.isEnded()
      assert.equal(puppet.error, undefined)
    } else {
      await puppet.serve((socket) => void socket.write('pong'))
      await puppet.gets(8)
    }
    puppet.client.destroy()
  },
}

const idle: Scenario = {
  name: 'a timeout the app sets in restore does not fire while the predecessor serves',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.onRestore((socket) => {
      socket.setTimeout(50)
      socket.on('timeout', () => socket.destroy())
    })
    yield
    // Longer than the timeout: in the successor nothing may have come of it.
    const from = performance.now()
    let pings = 0
    while (performance.now() - from < 150) {
      puppet.send('x')
      pings++
      await puppet.sees((_socket, session, _tools, count) => session.bytes.length === count, pings)
    }
    const heard = `event generation=2 label=${puppet.label} timeout`
    assert.ok(!stage.supervisor.child.lines.includes(heard), 'before commit')
    yield
    if (await hasMoved(stage)) {
      await puppet.isEnded()
      assert.equal(stage.supervisor.child.lines.filter((line) => line === heard).length, 1, 'and then it does, once')
    } else {
      assert.equal(puppet.ended, false)
    }
    puppet.client.destroy()
  },
}

const elapsed: Scenario = {
  name: 'the idle timeout elapses: it is told once, and again after the next idle time',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    yield
    await puppet.serve((socket) => void socket.setTimeout(100))
    const timeouts = async (): Promise<string[]> =>
      (await puppet.session()).events.filter((event) => event.endsWith('timeout'))
    await puppet.sees((_socket, { events }) => events.some((event) => event.endsWith('timeout')))
    yield
    const generation = await generationOf(stage)
    // A timer of the same length, armed now, fires after any that was armed at commit.
    await puppet.serve((_socket, session) => void setTimeout(() => session.events.push('later'), 110))
    await puppet.sees((_socket, { events }) => events.includes('later'))
    assert.deepEqual(await timeouts(), ['1 timeout'])
    puppet.send('x')
    await puppet.sees((_socket, { events }) => events.at(-1)!.endsWith('timeout'))
    assert.deepEqual(await timeouts(), ['1 timeout', `${generation} timeout`])
    puppet.client.destroy()
  },
}

const connects: Scenario = {
  name: "'connect' comes once, in the successor alone",
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    yield
    assert.deepEqual((await puppet.session()).events, [])
    yield
    const expected = (await hasMoved(stage)) ? ['2 connect'] : []
    await puppet.sees((socket) => socket.connecting === false)
    assert.deepEqual((await puppet.session()).events, expected)
    puppet.client.destroy()
  },
}

export const between: readonly Scenario[] = [
  unsent,
  more,
  ends(true),
  ends(false),
  fin,
  pauses,
  resumes,
  halfALine,
  options,
  touched,
  goes,
  comes,
  destroys,
  idle,
  elapsed,
  connects,
]
