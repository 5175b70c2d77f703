/** Has one serving process give sessions to another. */
import { binding } from '../sys/binding.js'
import { closeAll } from '../sys/channel.js'
import type { Generation } from './generation.js'
import type { Settings } from './options.js'
import type { GenerationEvents } from './process-words.js'

export type Given = GenerationEvents['given'][0]

let lastGive = 0

export interface Give {
  /** What the giver says in the end; undefined when it ends without a word. */
  readonly given: Promise<Given | undefined>
  /** What the taker says has come. */
  readonly taken: Promise<Given | undefined>
}

/** @param sessions at most so many; all, if it is not said: the giver is to go. Throws when there is no descriptor to be had. */
export function give(giver: Generation, taker: Generation, settings: Settings, sessions?: number): Give {
  const number = ++lastGive
  const { checkMs, freezeMs, drainMs } = settings
  const fields = { give: number, checkMs, freezeMs, drainMs, ...(sessions === undefined ? {} : { sessions }) }
  const words = { given: wordOf(giver, number), taken: wordOf(taker, number) }
  const ends = binding().socketpair()
  try {
    taker.send('give', { side: 'taker', ...fields }, [ends[0]])
    giver.send('give', { side: 'giver', ...fields }, [ends[1]])
  } finally {
    closeAll(ends)
  }
  return words
}

function wordOf(generation: Generation, number: number): Promise<Given | undefined> {
  return new Promise((resolve) => {
    const end = (given: Given | undefined) => {
      generation.removeListener('given', hear)
      generation.removeListener('exit', lost)
      resolve(given)
    }
    const hear = (given: Given) => {
      if (given.give === number) end(given)
    }
    const lost = () => end(undefined)
    generation.on('given', hear)
    generation.once('exit', lost)
    if (!generation.alive) lost()
  })
}
