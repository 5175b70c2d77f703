/** Holds the copy of an upgrade open, so that things can happen between it and the freeze. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import { Puppet, type Stage } from './puppet.js'
import type { CommandResult } from './supervisor.js'

export class Gate {
  readonly #stage: Stage
  readonly #puppet: Puppet
  #count = 0
  #path = ''
  #upgrade: Promise<CommandResult<UpgradeResult>> | undefined

  private constructor(stage: Stage, puppet: Puppet) {
    this.#stage = stage
    this.#puppet = puppet
  }

  /** Sessions opened before it are restored before it; those that come later are not sent until it opens. */
  static async set(stage: Stage): Promise<Gate> {
    return new Gate(stage, await Puppet.open(stage))
  }

  /** Begins an upgrade; resolves when every session has been restored, and the predecessor serves them still. */
  async begin(...args: string[]): Promise<void> {
    this.#path = join(this.#stage.supervisor.directory, `gate-${++this.#count}`)
    await this.#puppet.onRestore((_socket, _session, { blockUntil, generation }, path) => {
      console.log(`at the gate generation=${generation} ${path}`)
      blockUntil(path)
    }, this.#path)
    this.#upgrade = this.#stage.supervisor.upgrade(...args)
    await this.#stage.supervisor.child.line(new RegExp(`^at the gate generation=\\d+ ${this.#path}$`))
  }

  /** Lets the freeze come, and waits for the end. `abort`: one session refuses its last change. */
  async end(how: 'commit' | 'abort' = 'commit'): Promise<CommandResult<UpgradeResult>> {
    if (how === 'abort') {
      await this.#puppet.onUpdate(() => {
        throw new Error('sabotage')
      })
    }
    writeFileSync(this.#path, '')
    const result = await this.#upgrade!
    if (how === 'abort') await this.#puppet.onUpdate(() => undefined)
    return result
  }
}
