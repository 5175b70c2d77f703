/** What a user's test says to `checkShapes`. */
import type { Socket } from 'node:net'
import type { SessionDefinition, StateDefinition } from '../runtime/types.js'

interface Decisions {
  /**
   * Plain objects whose keys are data and not fields, of the current version: `['state.scores']`. In a path `[]` are the
   * members of an array or a Set, `{}` the values of a Map or a dictionary, `{key}` the keys of a Map.
   */
  readonly dictionaries?: readonly string[]
  /** Steps left out on purpose: `{ downgrade: [2] }` says that nobody goes back from version 2. */
  readonly without?: { readonly upgrade?: readonly number[]; readonly downgrade?: readonly number[] }
}

export interface SessionSamples<Session> extends Decisions {
  readonly definition: SessionDefinition<Session>
  /** Sessions, best made by the code that makes them; each is captured. Together they show every field and every type. */
  readonly samples: readonly Session[]
  /** What `capture` is given as the socket. Default: one that is not connected. */
  readonly socket?: Socket
}

export interface StateSamples extends Decisions {
  readonly definition: StateDefinition
  /** Each brings the state about that is then captured. Default: it is captured once, as it is. */
  readonly samples?: readonly (() => unknown)[]
}

export interface ShapesOptions<Kinds extends Record<string, unknown>> {
  /** Where the shapes are recorded: a JSON file beside your code, to be committed. One for each program. */
  readonly file: URL | string
  /** The folder of the captured samples of every version. Default: `corpus`, beside the file. */
  readonly corpus?: URL | string
  /** Record versions that are not yet. Default: whether the environment has HANDOVER_RECORD_SHAPES=1. */
  readonly record?: boolean
  /** All session kinds of the program, by name. */
  readonly sessions?: { readonly [Name in keyof Kinds]: SessionSamples<Kinds[Name]> }
  /** All shared states of the program, by name. */
  readonly states?: Readonly<Record<string, StateSamples>>
}

export interface ShapesResult {
  /** What was recorded in this run, for people: 'session kind "chat", version 2'. */
  readonly recorded: readonly string[]
}
