/** What the client has sent and the app not yet read. */
import assert from 'node:assert/strict'
import { keystream } from '../../harness/keystream.js'
import { Puppet } from '../../harness/puppet.js'
import type { Scenario } from '../../harness/scenario.js'

const middleOfALine: Scenario = {
  name: 'a client in the middle of a line',
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    puppet.send('GET /par')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'GET /par')
    yield
    puppet.send('tial HT')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'GET /partial HT')
    yield
    puppet.send('TP/1.1\n')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'GET /partial HTTP/1.1\n')
    assert.equal(await puppet.serve((socket) => socket.bytesRead), 22)
    puppet.client.destroy()
  },
}

const paused: Scenario = {
  name: 'a paused socket with unread bytes stays paused until it is resumed',
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    const isStill = (): Promise<boolean> =>
      puppet.serve((socket, session) => socket.isPaused() && session.bytes.length === 0)
    await puppet.serve((socket) => void socket.pause())
    puppet.send(keystream(9, 0, 300_000))
    await puppet.sees((socket) => socket.readableLength > 0)
    yield
    assert.ok(await isStill(), 'still paused, nothing read')
    puppet.send(keystream(9, 300_000, 100_000))
    yield
    assert.ok(await isStill(), 'still paused, nothing read')
    assert.ok(await puppet.serve((socket) => socket.readableLength > 0), 'what Node had read is there')
    puppet.send(keystream(9, 400_000, 100_000))
    await puppet.serve((socket) => void socket.resume())
    await puppet.sees((_socket, session) => session.bytes.length >= 500_000)
    const wrong = await puppet.serve((_socket, session, { pattern }) => !session.bytes.equals(pattern(9, 0, 500_000)))
    assert.equal(wrong, false)
    assert.equal(await puppet.serve((socket) => socket.bytesRead), 500_000)
    puppet.client.destroy()
  },
}

function halfACharacter(isPaused: boolean): Scenario {
  return {
    name: `setEncoding('utf8') with half a character, ${isPaused ? 'paused' : 'flowing'}`,
    everywhere: true,
    async *play(stage) {
      const puppet = await Puppet.open(stage)
      await puppet.serve((socket, _session, _tools, isPaused) => {
        socket.setEncoding('utf8')
        if (isPaused) socket.pause()
      }, isPaused)
      await puppet.onRestore((socket) => socket.setEncoding('utf8'))
      const euro = Buffer.from('€')
      const horse = Buffer.from('🐎')
      const arrives = (length: number): Promise<void> =>
        puppet.sees((socket, _session, _tools, length) => socket.bytesRead === length, length)
      puppet.send(Buffer.concat([Buffer.from('ž1 '), euro.subarray(0, 2)]))
      await arrives(6)
      yield
      puppet.send(Buffer.concat([euro.subarray(2), horse.subarray(0, 3)]))
      // Paused, Node may have stopped to read from the kernel: both must come out right.
      if (!isPaused) await arrives(10)
      yield
      puppet.send(Buffer.concat([horse.subarray(3), Buffer.from(' end')]))
      await puppet.serve((socket) => void socket.resume())
      await puppet.sees((_socket, session) => session.text.endsWith('end') || session.bytes.includes('end'))
      const { text, bytes } = await puppet.session()
      assert.equal(text, 'ž1 €🐎 end')
      assert.equal(bytes.data.length, 0, 'an app that has set an encoding never gets a Buffer')
      puppet.client.destroy()
    },
  }
}

const readableMode: Scenario = {
  name: "unread in 'readable' mode, which looks paused, goes on by 'data' in the next release",
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    await puppet.serve((socket) => {
      socket.removeAllListeners('data')
      socket.on('readable', () => undefined)
    })
    puppet.send('unread ')
    await puppet.sees((socket) => socket.readableLength === 7)
    yield
    puppet.send('more ')
    yield
    puppet.send('new')
    await puppet.sees((_socket, session) => session.bytes.toString() === 'unread more new')
    puppet.client.destroy()
  },
}

const asItArrives: Scenario = {
  name: 'a client that sends all the time, in both directions of the upgrade',
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    let sent = 0
    let isTalking = true
    const talk = async (): Promise<void> => {
      while (isTalking) {
        puppet.send(keystream(10, sent, 10))
        sent += 10
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    const talking = talk()
    yield
    yield
    isTalking = false
    await talking
    await puppet.sees((_socket, session, _tools, sent) => session.bytes.length >= sent, sent)
    const isRight = await puppet.serve(
      (_socket, session, { pattern }, sent) => session.bytes.equals(pattern(10, 0, sent)),
      sent,
    )
    assert.ok(isRight)
    puppet.client.destroy()
  },
}

export const input: readonly Scenario[] = [
  middleOfALine,
  paused,
  halfACharacter(false),
  halfACharacter(true),
  readableMode,
  asItArrives,
]
