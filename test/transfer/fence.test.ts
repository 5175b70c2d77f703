import t from 'tap'
import { binding } from '../../src/sys/binding.js'
import { Fence } from '../../src/transfer/fence.js'
import type { Teardown } from '../harness/child.js'
import { within } from '../harness/timeout.js'
import { openDescriptors } from '../sys/descriptors.js'
import { endOf, newToken, Player } from './peer.js'

const b = binding()

t.test('the token is taken once, and stays with who took it', async (t) => {
  const before = openDescriptors()
  const one = newToken()
  const two = b.duplicate(one)
  const fences = [new Fence(b.pidfdOpen(process.pid), one), new Fence(b.pidfdOpen(process.pid), two)] as const
  t.equal(fences[1].claim(), true)
  t.equal(fences[0].claim(), false)
  t.equal(fences[1].claim(), true, 'it has it still')
  t.equal(fences[0].claim(), false)
  fences[1].ensureOurs()
  for (const fence of fences) {
    fence.close()
    fence.close()
  }
  t.equal(openDescriptors(), before)
})

t.test('dead is dead, whoever has the token', async (t) => {
  const player = new Player(t)
  const part = player.play('predecessor', ['claim', 'exit'])
  t.equal(await part.said('claimed'), 'claimed')
  part.fence.ensureDead()
  part.fence.ensureOurs()
  t.same(await endOf(player), { code: 0, signal: null }, 'it ended by itself')
  part.fence.close()
  part.link.close()
})

/** Two processes with one token and each other's pidfd, each told at once to make sure that the other is dead. */
async function duel(t: Teardown): Promise<string> {
  const token = newToken()
  const players = [new Player(t), new Player(t)] as const
  const parts = players.map((player) => player.begin('predecessor', ['fence'], token))
  for (const [index, { channel }] of parts.entries()) {
    const pidfd = b.pidfdOpen(players[1 - index]!.pid)
    b.send(channel, Buffer.from('the other'), [pidfd])
    b.close(pidfd)
  }
  const first = players.map(async (player, index) => {
    await player.exited
    return index
  })
  const loser = await within(Promise.race(first), 'the end of one of the two')
  await parts[1 - loser]!.said('alone')
  const { signal } = await endOf(players[loser]!)
  for (const { channel } of parts) b.close(channel)
  b.close(token)
  return `${signal}, and the other ${players[1 - loser]!.hasExited ? 'is gone' : 'lives'}`
}

t.test('of two that fence at the same moment one dies and one goes on, every time', async (t) => {
  for (let round = 0; round < 10; round++) t.equal(await duel(t), 'SIGKILL, and the other lives')
})
