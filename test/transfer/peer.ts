/** The other side of a transfer, in a process of its own that follows scripts (test/fixtures/transfer-peer.ts). */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { binding } from '../../src/sys/binding.js'
import { Link } from '../../src/sys/link.js'
import { Fence } from '../../src/transfer/fence.js'
import type { Side } from '../../src/transfer/phases.js'
import { TRANSFER } from '../../src/wire/messages.js'
import { processFact } from '../harness/census.js'
import { cleanEnvironment, compiled, type Exit, type Teardown } from '../harness/child.js'
import { until, within } from '../harness/timeout.js'

/** A process that plays one part after another, until somebody kills it. */
export class Player {
  readonly pid: number
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  readonly #control: number
  readonly #lines: string[] = []
  #nextId = 1
  #isSpent = false

  constructor(t: Teardown) {
    const [ours, theirs] = binding().socketpair()
    this.#control = ours
    this.#child = spawn(process.execPath, [compiled('test/fixtures/transfer-peer.js')], {
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'inherit', theirs],
    })
    binding().close(theirs)
    this.pid = this.#child.pid!
    this.exited = once(this.#child, 'exit').then(([code, signal]): Exit => ({ code, signal }))
    createInterface(this.#child.stdout!).on('line', (line) => this.#lines.push(line))
    t.teardown(async () => {
      binding().close(ours)
      if (!this.hasExited) this.#child.kill('SIGKILL')
      await this.exited
    })
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** It can play another part: it has not ended, nor is it about to. */
  get isFree(): boolean {
    return !this.#isSpent && !this.hasExited && !['Z', 'T', undefined].includes(this.state)
  }

  async ready(): Promise<void> {
    await until(() => this.#lines[0] === 'ready', 'the peer')
  }

  /** One letter of proc(5). */
  get state(): string | undefined {
    return processFact(this.pid)?.state
  }

  /** Begins a part. The caller owns link and fence. */
  play(side: Side, acts: readonly string[]): Part {
    const token = newToken()
    const { channel, ...words } = this.begin(side, acts, token)
    return { ...words, link: new Link(channel, TRANSFER, side), fence: new Fence(binding().pidfdOpen(this.pid), token) }
  }

  /** Begins a part with a token of the caller's, who owns the channel too. */
  begin(side: Side, acts: readonly string[], token: number): Words & { readonly channel: number } {
    const [channel, theirs] = binding().socketpair()
    const id = `${this.#nextId++} `
    binding().send(this.#control, Buffer.from(JSON.stringify({ id: Number(id), side, acts })), [theirs, token])
    binding().close(theirs)
    this.#isSpent = acts.includes('exit') || acts.includes('stop')
    const lines = () => this.#lines.flatMap((line) => (line.startsWith(id) ? [line.slice(id.length)] : []))
    return {
      channel,
      lines,
      async said(beginning) {
        const found = (): string | undefined => lines().find((line) => line.startsWith(beginning))
        await until(
          () => found() !== undefined,
          () => `"${beginning}" from the peer; it said:\n${lines().join('\n')}`,
        )
        return found()!
      },
    }
  }
}

/** The receiving end of a new token. */
export function newToken(): number {
  const [token, source] = binding().socketpair()
  binding().send(source, Buffer.of(1), [])
  binding().close(source)
  return token
}

export interface Words {
  /** What the player has said in this part. */
  lines(): string[]
  /** Waits for a line that begins so. */
  said(beginning: string): Promise<string>
}

export interface Part extends Words {
  readonly link: Link<typeof TRANSFER>
  readonly fence: Fence
}

/** Gives out one player for many parts, and a new one when the last is dead or about to be. Its start is in no deadline. */
export function players(t: Teardown): () => Promise<Player> {
  let current: Player | undefined
  return async () => {
    if (!current?.isFree) current = new Player(t)
    await current.ready()
    return current
  }
}

export const endOf = async (player: Player): Promise<Exit> => within(player.exited, 'the end of the peer')
