/**
 * The transaction, as one table: in which phase a side is, what may happen there, where that leads. The code takes every
 * step through it; PROTOCOL.md's table and the exhaustive tests are made from it.
 *
 * Events are the messages of TRANSFER, what a side does itself (`settled`, `sent`, `failed`, `yielded`), what its group does
 * (`pending`, `decided`, `overruled`), and the three ways of a peer to be lost: `eof`, `silence` (the deadline passed), `invalid`
 * (a message that does not check out).
 *
 * `fence`: what is made sure of before the step is taken (fence.ts). Silence is not death, and a word may be under way.
 *
 * A second table, of the same form: what follows after commit, in small batches.
 */

export type Side = 'predecessor' | 'successor'

export interface Step {
  readonly to: string
  /**
   * - dead: the other process is dead, and known to be
   * - token: this side has the token, so that the other will not kill it; or else the other is dead
   * - claim: this side has the token of the batch; who does not get it takes the step `yielded` instead
   */
  readonly fence?: 'dead' | 'token' | 'claim'
}

export interface Phase {
  /** What the side does here, for PROTOCOL.md. */
  readonly does: string
  /** True where this side may read and write the sessions' sockets. */
  readonly owns: boolean
  /** Which deadline turns quiet into `silence`. */
  readonly deadline?: 'check' | 'freeze' | 'twice freeze' | 'drain and freeze'
  readonly on: Readonly<Record<string, Step>>
}

export const PHASES = {
  predecessor: {
    check: {
      does: 'serves; has sent `offer` and waits for the answer',
      owns: true,
      deadline: 'check',
      on: {
        accept: { to: 'copy' },
        refuse: { to: 'thawed' },
        eof: { to: 'thawed' },
        silence: { to: 'thawed' },
        invalid: { to: 'thawed' },
      },
    },
    copy: {
      does: 'serves; sends sessions and what changes of them, in slices, until little is left and all is acknowledged',
      owns: true,
      deadline: 'check',
      on: {
        received: { to: 'copy' },
        settled: { to: 'transfer' },
        failed: { to: 'thawed' },
        refuse: { to: 'thawed' },
        eof: { to: 'thawed' },
        silence: { to: 'thawed' },
        invalid: { to: 'thawed' },
      },
    },
    transfer: {
      does: 'frozen, its event loop stands still; says `freeze`, sends states and what is new or has changed, then `manifest`',
      owns: false,
      deadline: 'freeze',
      on: {
        received: { to: 'transfer' },
        sent: { to: 'vote' },
        failed: { to: 'thawed' },
        refuse: { to: 'thawed' },
        // No fence: without the manifest the successor never reads.
        eof: { to: 'thawed' },
        silence: { to: 'thawed' },
        invalid: { to: 'thawed' },
      },
    },
    vote: {
      does: 'frozen; has sent the whole manifest and waits for the vote',
      owns: false,
      deadline: 'freeze',
      on: {
        received: { to: 'vote' },
        prepared: { to: 'commit' },
        // In place of `prepared`, when other pairs have a say.
        pending: { to: 'agree' },
        refuse: { to: 'thawed' },
        failed: { to: 'thawed', fence: 'dead' },
        eof: { to: 'thawed', fence: 'dead' },
        silence: { to: 'thawed', fence: 'dead' },
        invalid: { to: 'thawed', fence: 'dead' },
      },
    },
    agree: {
      does: 'frozen; its successor has voted, and it waits for what the group decides',
      owns: false,
      deadline: 'freeze',
      on: {
        decided: { to: 'commit' },
        // The fence: a successor that has voted goes on when it hears nothing.
        overruled: { to: 'thawed', fence: 'dead' },
        // In place of each of these `decided`, should the group have decided so: it is asked first.
        failed: { to: 'thawed', fence: 'dead' },
        eof: { to: 'thawed', fence: 'dead' },
        silence: { to: 'thawed', fence: 'dead' },
        invalid: { to: 'thawed', fence: 'dead' },
      },
    },
    commit: {
      does: 'frozen; has sent `commit` and waits for `active`',
      owns: false,
      deadline: 'freeze',
      on: {
        active: { to: 'drain' },
        // In place of each step below when the token turns out to be the successor's: it took it to become active.
        yielded: { to: 'yield' },
        failed: { to: 'thawed', fence: 'dead' },
        eof: { to: 'thawed', fence: 'dead' },
        silence: { to: 'thawed', fence: 'dead' },
        invalid: { to: 'thawed', fence: 'dead' },
      },
    },
    yield: {
      does: 'frozen; the token is the successor’s, so it is active or about to say so: waits for its word, or its death',
      owns: false,
      on: {
        active: { to: 'drain' },
        // Whatever comes before its last word: the successor decides, and `active` may be behind it.
        invalid: { to: 'yield' },
        eof: { to: 'thawed', fence: 'dead' },
      },
    },
    drain: {
      does: 'has closed its copies; serves what could not move until it ends or the deadline',
      owns: false,
      on: {},
    },
    thawed: { does: 'serves on with every session, as if nothing had been', owns: true, on: {} },
  },
  successor: {
    check: {
      does: 'waits for `offer`, answers `accept` or `refuse`',
      owns: false,
      deadline: 'check',
      on: {
        offer: { to: 'copy' },
        failed: { to: 'aborted' },
        eof: { to: 'aborted' },
        silence: { to: 'aborted' },
        invalid: { to: 'aborted' },
      },
    },
    copy: {
      does: 'adopts sessions, held still, and follows what changes; acknowledges each part',
      owns: false,
      deadline: 'check',
      on: {
        state: { to: 'copy' },
        batch: { to: 'copy' },
        update: { to: 'copy' },
        gone: { to: 'copy' },
        freeze: { to: 'transfer' },
        failed: { to: 'aborted' },
        abort: { to: 'aborted' },
        eof: { to: 'aborted' },
        silence: { to: 'aborted' },
        invalid: { to: 'aborted' },
      },
    },
    transfer: {
      does: 'takes the rest: states, new sessions, last changes; acknowledges each part',
      owns: false,
      deadline: 'twice freeze',
      on: {
        state: { to: 'transfer' },
        batch: { to: 'transfer' },
        update: { to: 'transfer' },
        gone: { to: 'transfer' },
        manifest: { to: 'vote' },
        failed: { to: 'aborted' },
        abort: { to: 'aborted' },
        eof: { to: 'aborted' },
        silence: { to: 'aborted' },
        invalid: { to: 'aborted' },
      },
    },
    vote: {
      does: 'has everything and has answered `prepared`; waits for `commit`',
      owns: false,
      deadline: 'twice freeze',
      on: {
        commit: { to: 'active', fence: 'token' },
        abort: { to: 'aborted' },
        // The manifest is complete: when the predecessor is lost, all of it goes on here.
        eof: { to: 'active', fence: 'dead' },
        silence: { to: 'active', fence: 'dead' },
        // Whoever sends garbage still lives: closing the channel gives everything back to it.
        invalid: { to: 'aborted' },
      },
    },
    active: { does: 'has said `active` and only then begins to read: it serves', owns: true, on: {} },
    aborted: { does: 'closes what it adopted, without a byte read or written', owns: false, on: {} },
  },
} as const satisfies Record<Side, Record<string, Phase>>

/**
 * After commit, with the channel still open: sessions that did not move at the one instant, batch by batch, while both
 * serve. `owns` is said of the batch under way. Nobody is killed here: the successor is the server by now.
 */
export const FOLLOWING = {
  predecessor: {
    serve: {
      does: 'serves all that is left; then stands still, captures a batch and sends `move`',
      owns: true,
      on: {
        sent: { to: 'give' },
        // Nothing was sent: the same sessions are tried again later.
        failed: { to: 'serve' },
        finished: { to: 'over' },
        eof: { to: 'over' },
        invalid: { to: 'over' },
      },
    },
    give: {
      does: 'stands still; has sent `move` and waits for `held`',
      owns: false,
      deadline: 'freeze',
      on: {
        held: { to: 'confirm' },
        yielded: { to: 'yield' },
        eof: { to: 'kept', fence: 'claim' },
        silence: { to: 'kept', fence: 'claim' },
        invalid: { to: 'kept', fence: 'claim' },
      },
    },
    confirm: {
      does: 'stands still; knows who is refused and waits for `moved`',
      owns: false,
      deadline: 'freeze',
      on: {
        moved: { to: 'serve' },
        yielded: { to: 'taken' },
        eof: { to: 'kept', fence: 'claim' },
        silence: { to: 'kept', fence: 'claim' },
        invalid: { to: 'kept', fence: 'claim' },
      },
    },
    yield: {
      does: 'stands still; the token is the successor’s, which said `held` before it took it: looks for that word',
      owns: false,
      deadline: 'freeze',
      on: {
        held: { to: 'taken' },
        moved: { to: 'taken' },
        invalid: { to: 'yield' },
        // Where it could not be said nobody was refused.
        eof: { to: 'taken' },
        silence: { to: 'taken' },
      },
    },
    kept: { does: 'serves on with the batch, as if nothing had been; moves nothing more', owns: true, on: {} },
    taken: { does: 'has closed its copies of the batch; serves what is left, moves nothing more', owns: false, on: {} },
    over: { does: 'no batch is under way; serves what is left, moves nothing more', owns: true, on: {} },
  },
  successor: {
    wait: {
      does: 'serves what it has; waits for a batch',
      owns: false,
      deadline: 'drain and freeze',
      on: {
        move: { to: 'take' },
        finished: { to: 'over' },
        eof: { to: 'over' },
        silence: { to: 'over' },
        invalid: { to: 'over' },
      },
    },
    take: {
      does: 'builds the batch, held still, and says `held`; only then takes the token',
      owns: false,
      on: {
        sent: { to: 'own', fence: 'claim' },
        yielded: { to: 'discarded' },
        // It refused some, and could not say so.
        failed: { to: 'discarded' },
      },
    },
    own: { does: 'says `moved`, and only then reads', owns: true, on: { sent: { to: 'wait' } } },
    discarded: { does: 'closes what it built, without a byte read or written', owns: false, on: {} },
    over: { does: 'serves what it has; nothing more follows', owns: false, on: {} },
  },
} as const satisfies Record<Side, Record<string, Phase>>

export type FollowingPhase<S extends Side> = keyof (typeof FOLLOWING)[S] & string

export type PhaseOf<S extends Side> = keyof (typeof PHASES)[S] & string

/** Where `event` leads from `phase`, or undefined when it may not happen there (the caller treats it as `invalid`). */
export function stepOf<S extends Side>(
  side: S,
  phase: PhaseOf<S>,
  event: string,
): (Step & { to: PhaseOf<S> }) | undefined {
  return stepIn(PHASES[side][phase] as Phase, event) as (Step & { to: PhaseOf<S> }) | undefined
}

/** The same, of the table of what follows. */
export function followingStepOf<S extends Side>(
  side: S,
  phase: FollowingPhase<S>,
  event: string,
): (Step & { to: FollowingPhase<S> }) | undefined {
  return stepIn(FOLLOWING[side][phase] as Phase, event) as (Step & { to: FollowingPhase<S> }) | undefined
}

function stepIn({ on }: Phase, event: string): Step | undefined {
  return Object.hasOwn(on, event) ? on[event] : undefined
}
