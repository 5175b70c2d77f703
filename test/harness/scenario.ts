/** A connection's story in three acts: before, after an upgrade that was aborted, after one that was committed. */
import type { Stage } from './puppet.js'

export interface Scenario {
  readonly name: string
  /** Played with each Node on each side, too. */
  readonly everywhere?: true
  /** Yields where the upgrades come. Throws when something is not as it must be. */
  play(stage: Stage): AsyncGenerator<void, void, void>
}

interface Tester {
  test(name: string, run: (t: { pass(message: string): unknown }) => Promise<void>): PromiseLike<unknown>
}

/** Plays all of them at once on one stage: `interludes` are what happens between the acts. */
export async function playAll(
  t: Tester,
  stage: Stage,
  scenarios: readonly Scenario[],
  interludes: readonly (() => Promise<void>)[],
): Promise<void> {
  const plays = scenarios.map((scenario) => ({ name: scenario.name, story: scenario.play(stage), isOver: false }))
  for (let act = 0; act <= interludes.length; act += 1) {
    if (act > 0) await interludes[act - 1]!()
    const isLast = act === interludes.length
    for (const play of plays.filter(({ isOver }) => !isOver)) {
      // A story that failed is told once.
      play.isOver = true
      await t.test(`${play.name}, act ${act + 1}`, async (t) => {
        const { done } = await play.story.next()
        if (done !== isLast) throw new Error(`the story has ${done ? 'too few' : 'too many'} acts`)
        play.isOver = isLast
        t.pass('as it must be')
      })
    }
  }
}
