/** What Node knows of a socket beside its bytes: timeouts, options, addresses, counts. */
import assert from 'node:assert/strict'
import { Puppet } from '../../harness/puppet.js'
import type { Scenario } from '../../harness/scenario.js'
import { scaled } from '../../harness/timeout.js'

const TIMEOUT_MS = 600_000
const PASSED_MS = 100_000
/** Node's timers go by the loop's clock, which stands while a callback runs; a freeze is not idle time. */
const EARLY_MS = 150
const LATE_MS = scaled(10_000)

const idle: Scenario = {
  name: 'the idle timer goes on from where it was, and begins anew with the next byte',
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    const look = (): Promise<[number, number]> =>
      puppet.serve((socket, _session, { idleLeft, now }) => [now(), idleLeft(socket)!])
    const [begun, first] = await puppet.serve((socket, _session, { idleLeft, now }, ms) => {
      socket.setTimeout(ms)
      return [now(), idleLeft(socket)!]
    }, TIMEOUT_MS)
    assert.ok(Math.abs(first! - TIMEOUT_MS) <= 1, `${first} ms left at once`)
    // As if that much had passed already.
    await puppet.serve((socket, _session, _tools, ms) => {
      const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'timeout')!
      ;(socket as unknown as Record<symbol, { _idleStart: number }>)[key]!._idleStart -= ms
    }, PASSED_MS)
    const goesOn = async (): Promise<void> => {
      const [now, left] = await look()
      const late = left - (TIMEOUT_MS - PASSED_MS - (now - begun!))
      assert.ok(late > -EARLY_MS && late < LATE_MS, `${left} ms left, ${late} too late`)
    }
    await goesOn()
    yield
    await goesOn()
    yield
    await goesOn()
    assert.equal(await puppet.serve((socket) => socket.timeout), TIMEOUT_MS)
    puppet.send('x')
    await puppet.sees((_socket, session) => session.bytes.length === 1)
    const [, left] = await look()
    assert.ok(left > TIMEOUT_MS - LATE_MS, `${left} ms left: the full time again`)
    puppet.client.destroy()
  },
}

const fires: Scenario = {
  name: "a timeout that comes due after the move is 'timeout' in the successor, once",
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    yield
    // Set in the freeze itself: however slow the machine, it cannot come due before.
    await puppet.serve((socket, session, { now, puppets, atFreeze }) =>
      atFreeze(() => {
        session.note = now()
        socket.setTimeout(1_000)
        puppets.touch(socket)
      }),
    )
    yield
    const line = new RegExp(`^event generation=3 label=${puppet.label} timeout`)
    await stage.supervisor.child.line(line)
    const late = await puppet.serve((_socket, session, { now }) => now() - (session.note as number))
    assert.ok(late >= 1_000 - EARLY_MS, `fired after ${late} ms of 1,000`)
    assert.deepEqual((await puppet.session()).events, ['3 connect', '3 timeout'])
    puppet.client.destroy()
  },
}

const own: Scenario = {
  name: 'a timeout that restore sets wins',
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    const off = await Puppet.open(stage)
    for (const each of [puppet, off]) await each.serve((socket) => void socket.setTimeout(600_000))
    await puppet.onRestore((socket) => socket.setTimeout(900_000))
    await off.onRestore((socket) => socket.setTimeout(0))
    yield
    assert.equal(await puppet.serve((socket) => socket.timeout), 600_000)
    yield
    const [timeout, left] = await puppet.serve((socket, _session, { idleLeft }) => [socket.timeout!, idleLeft(socket)!])
    assert.equal(timeout, 900_000)
    assert.ok(left > 600_000, `${left} ms left`)
    assert.deepEqual(await off.serve((socket, _s, { idleLeft }) => [socket.timeout, idleLeft(socket) ?? null]), [
      0,
      null,
    ])
    puppet.client.destroy()
    off.client.destroy()
  },
}

const kernelOptions: Scenario = {
  name: 'no-delay and keep-alive: the kernel and what Node believes agree, before and after setting them again',
  everywhere: true,
  async *play(stage) {
    const on = await Puppet.open(stage)
    const off = await Puppet.open(stage)
    await on.serve((socket) => {
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 77_000)
    })
    const kernel = (puppet: Puppet) => puppet.serve((socket, _session, { kernel }) => kernel(socket))
    const isOn = { noDelay: true, keepAlive: true, keepAliveIdleSeconds: 77 }
    yield
    assert.deepEqual(await kernel(on), isOn)
    yield
    assert.deepEqual(await kernel(on), isOn)
    const { noDelay, keepAlive } = await kernel(off)
    assert.deepEqual({ noDelay, keepAlive }, { noDelay: false, keepAlive: false })
    // With a stale cache these calls would be silent no-ops.
    await on.serve((socket) => {
      socket.setNoDelay(false)
      socket.setKeepAlive(false)
    })
    await off.serve((socket) => {
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 55_000)
    })
    const cleared = await kernel(on)
    assert.deepEqual([cleared.noDelay, cleared.keepAlive], [false, false])
    assert.deepEqual(await kernel(off), { noDelay: true, keepAlive: true, keepAliveIdleSeconds: 55 })
    on.client.destroy()
    off.client.destroy()
  },
}

const addresses: Scenario = {
  name: 'addresses, ports and counts are as they were',
  everywhere: true,
  async *play(stage) {
    const puppet = await Puppet.open(stage)
    const look = () =>
      puppet.serve((socket) => ({
        remote: [socket.remoteAddress, socket.remotePort, socket.remoteFamily],
        local: [socket.localAddress, socket.localPort],
        counts: [socket.bytesRead, socket.bytesWritten],
      }))
    await puppet.serve((socket) => void socket.write('12345'))
    puppet.send('123')
    await puppet.sees((socket) => socket.bytesRead === 3)
    await puppet.gets(5)
    const before = await look()
    assert.deepEqual(before, {
      remote: ['127.0.0.1', Number(puppet.label), 'IPv4'],
      local: ['127.0.0.1', stage.port],
      counts: [3, 5],
    })
    yield
    assert.deepEqual(await look(), before)
    yield
    assert.deepEqual(await look(), before)
    assert.equal(await puppet.serve((socket) => socket.readyState), 'open')
    assert.equal(await puppet.serve((socket) => socket.connecting || socket.pending), false)
    await puppet.serve((socket) => void socket.write('678'))
    puppet.send('45')
    await puppet.sees((socket) => socket.bytesRead === 5 && socket.bytesWritten === 8)
    puppet.client.destroy()
  },
}

export const options: readonly Scenario[] = [idle, fires, own, kernelOptions, addresses]
