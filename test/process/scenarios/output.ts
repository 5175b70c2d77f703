/** What the server has written and the client not yet read. */
import assert from 'node:assert/strict'
import { keystream } from '../../harness/keystream.js'
import { Puppet, type Stage } from '../../harness/puppet.js'
import type { Scenario } from '../../harness/scenario.js'

const MEGABYTES = 4 * 1024 * 1024

type Write = 'buffers' | 'strings' | 'corked' | 'small' | 'mixed'

/** Each way writes the next bytes of pattern `key`, so that only order and number matter at the other end. */
const WAYS: Record<Write, (puppet: Puppet, key: number, position: number, length: number) => Promise<boolean>> = {
  buffers: (puppet, ...range) =>
    puppet.serve((socket, _session, { pattern }, [key, position, length]) => {
      for (let at = 0; at < length; at += 65_536)
        socket.write(pattern(key, position + at, Math.min(65_536, length - at)))
      return socket.writableLength > 0
    }, range),
  strings: (puppet, ...range) =>
    puppet.serve((socket, _session, { pattern }, [key, position, length]) => {
      socket.write(pattern(key, position, length).toString('latin1'), 'latin1')
      return socket.writableLength > 0
    }, range),
  corked: (puppet, ...range) =>
    puppet.serve((socket, _session, { pattern }, [key, position, length]) => {
      socket.cork()
      for (let at = 0; at < length; at += 65_536) {
        const bytes = pattern(key, position + at, Math.min(65_536, length - at))
        if ((at / 65_536) % 2 === 0) socket.write(bytes)
        else socket.write(bytes.toString('hex'), 'hex')
      }
      socket.uncork()
      return socket.writableLength > 0
    }, range),
  small: (puppet, ...range) =>
    puppet.serve((socket, _session, { pattern }, [key, position, length]) => {
      const bytes = pattern(key, position, length)
      const big = length - 20_000
      socket.write(bytes.subarray(0, big))
      for (let at = big; at < length; at += 100) socket.write(bytes.subarray(at, at + 100))
      return socket.writableLength > 0
    }, range),
  mixed: (puppet, ...range) =>
    puppet.serve((socket, _session, { pattern }, [key, position, length]) => {
      const bytes = pattern(key, position, length)
      const third = Math.floor(length / 3)
      socket.write(bytes.subarray(0, third).toString('base64'), 'base64')
      socket.write(bytes.subarray(third, 2 * third))
      // Left corked: what is written so waits, and moves.
      socket.cork()
      socket.write(bytes.subarray(2 * third).toString('latin1'), 'latin1')
      return socket.writableLength > 0
    }, range),
}

function slowReader(way: Write, key: number): Scenario {
  return {
    name: `a slow reader, ${way} unsent`,
    everywhere: true,
    async *play(stage: Stage) {
      const puppet = await Puppet.open(stage, { paused: true })
      let written = 0
      const write = async (length: number): Promise<boolean> => {
        const unsent = await WAYS[way](puppet, key, written, length)
        written += length
        return unsent
      }
      assert.ok(await write(3 * MEGABYTES), 'the kernel took it all: nothing is unsent')
      yield
      assert.ok(await write(MEGABYTES))
      yield
      const uncork = await puppet.serve((socket) => {
        const wasCorked = socket.writableCorked
        const unsent = socket.writableLength
        return { wasCorked, unsent }
      })
      assert.equal(uncork.wasCorked, 0)
      assert.ok(uncork.unsent > 0, 'nothing unsent has moved')
      // Two generations' writes are one row: the first, and what comes after the move.
      await WAYS.buffers(puppet, key, written, 100_000)
      written += 100_000
      puppet.client.resume()
      await puppet.gets(written)
      assert.ok(puppet.received.equals(keystream(key, 0, written)), 'a byte is wrong')
      assert.equal(await puppet.serve((socket) => socket.bytesWritten), written)
      await puppet.serve((socket) => void socket.end())
      await puppet.isEnded()
      assert.equal(puppet.received.length, written)
      puppet.client.destroy()
    },
  }
}

const text: Scenario = {
  name: 'a slow reader, text of many bytes a character unsent',
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage, { paused: true })
    const line = 'žluťoučký 🐎 €\n'
    const write = (): Promise<boolean> =>
      puppet.serve((socket, _session, _tools, line) => {
        for (let count = 0; count < 5_000; count += 1) socket.write(line)
        socket.write(line.repeat(200_000))
        return socket.writableLength > 0
      }, line)
    assert.ok(await write())
    yield
    assert.ok(await write())
    yield
    const expected = Buffer.from(line.repeat(410_000))
    puppet.client.resume()
    await puppet.gets(expected.length)
    assert.ok(puppet.received.equals(expected))
    puppet.client.destroy()
  },
}

const ended: Scenario = {
  name: 'the server has ended its side with megabytes unsent: the FIN comes after them',
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage, { paused: true })
    await puppet.serve((socket, session, { pattern, generation }) => {
      socket.write(pattern(77, 0, 8_000_000))
      socket.end('the end', () => {
        session.note = generation
      })
    })
    yield
    assert.equal(puppet.ended, false)
    yield
    assert.deepEqual((await puppet.session()).events, [`${3} connect`])
    puppet.client.resume()
    await puppet.isEnded()
    assert.equal(puppet.received.length, 8_000_007)
    assert.ok(puppet.received.equals(Buffer.concat([keystream(77, 0, 8_000_000), Buffer.from('the end')])))
    await puppet.sees((_socket, session) => session.events.length > 1)
    assert.deepEqual((await puppet.session()).events, ['3 connect', '3 finish'])
    // The other direction is still open.
    puppet.send('after the end')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'after the end')
    puppet.client.end()
  },
}

const callbacks: Scenario = {
  name: 'no write callback is called in the predecessor of a session that has moved',
  async *play(stage) {
    const puppet = await Puppet.open(stage, { paused: true })
    await puppet.serve((socket, session, { generation }) => {
      const say = (what: string) => () =>
        console.log(`callback label=${session.label} generation=${generation} ${what}`)
      socket.write('x'.repeat(8_000_000), say('write'))
      socket.write('buffered', say('buffered'))
      socket.end(say('end'))
    })
    yield
    yield
    puppet.client.resume()
    await puppet.isEnded()
    assert.equal(puppet.received.length, 8_000_008)
    const said = stage.supervisor.child.lines.filter((line) => line.startsWith(`callback label=${puppet.label} `))
    assert.deepEqual(said, [])
    puppet.client.destroy()
  },
}

export const output: readonly Scenario[] = [
  ...(Object.keys(WAYS) as Write[]).map((way, index) => slowReader(way, 100 + index)),
  text,
  ended,
  callbacks,
]
