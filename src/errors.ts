/**
 * The vocabulary of errors: one table, from which the codes' type, the messages, the CLI's exit codes and the
 * table in docs/errors.md derive (a test compares them).
 */

/** Exit codes of the CLI. 0 is success; each failure a script may want to tell apart has its own. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  aborted: 4,
  unreachable: 5,
  busy: 6,
  crashed: 7,
  undone: 8,
  unhealthy: 9,
} as const

interface ErrorRow {
  /** One line for the table in the docs: when this code is used. */
  readonly when: string
  /** What to do next; appended to every message of this code. */
  readonly next: string
  readonly exit: (typeof EXIT)[keyof typeof EXIT]
}

export const ERRORS = {
  HANDOVER_ADDON_MISSING: {
    when: 'no native addon fits this platform, architecture and Node version',
    next: 'Install a compiler and run "npx node-gyp rebuild" in the package folder, or use a platform with a prebuilt binary (Linux x64, arm64).',
    exit: EXIT.failed,
  },
  HANDOVER_USAGE: {
    when: 'an argument, option or call is not what the documentation says',
    next: 'See the README or "handover --help".',
    exit: EXIT.usage,
  },
  HANDOVER_MESSAGE_INVALID: {
    when: 'the other side sent a message of the wrong kind, length, descriptor count, order or content',
    next: 'Check that both sides run compatible versions of handover; nothing of the message was used.',
    exit: EXIT.aborted,
  },
  HANDOVER_STATE_INVALID: {
    when: 'captured state is not plain data, is too large, or its envelope does not check out',
    next: 'Return plain data from capture (see "Plain data" in the README).',
    exit: EXIT.refused,
  },
  HANDOVER_NOT_MOVABLE: {
    when: 'a socket cannot be a session: it is TLS, destroyed, not connected, or its unsent output cannot be read',
    next: 'Leave it unregistered; it will be drained.',
    exit: EXIT.refused,
  },
  HANDOVER_CHANNEL_CLOSED: {
    when: 'the other end of a channel is gone',
    next: 'Look at the log of the process at the other end.',
    exit: EXIT.aborted,
  },
  HANDOVER_LISTEN_REFUSED: {
    when: 'the supervisor could not make the listening socket a runtime asked for',
    next: 'Free the address, or ask for another one.',
    exit: EXIT.failed,
  },
  HANDOVER_ABORTED: {
    when: 'an upgrade failed before commit; the predecessor serves on with every session',
    next: 'Read the log of the successor; mend the release and upgrade again.',
    exit: EXIT.aborted,
  },
  HANDOVER_BUSY: {
    when: 'an upgrade before its commit, or a stop, is in progress',
    next: 'Wait for it to end ("handover status"), then try again.',
    exit: EXIT.busy,
  },
  HANDOVER_NAME_TAKEN: {
    when: 'another supervisor of this name is running',
    next: 'Choose another --name, or stop the other one ("handover stop").',
    exit: EXIT.failed,
  },
  HANDOVER_SUPERVISOR_REFUSED: {
    when: 'what was to replace the supervisor did not pass its rehearsal, or could not take over; the supervisor before goes on',
    next: 'Nothing has changed. Mend what the message names, or choose another --node.',
    exit: EXIT.refused,
  },
  HANDOVER_DIRECTORY_UNSAFE: {
    when: 'the runtime directory belongs to another user or others may write to it',
    next: 'Remove it or correct its owner and mode (0700), or set XDG_RUNTIME_DIR.',
    exit: EXIT.failed,
  },
  HANDOVER_UNREACHABLE: {
    when: 'no supervisor of this name answers on its admin socket',
    next: 'Check --name, and that "handover run" is running as the same user.',
    exit: EXIT.unreachable,
  },
  HANDOVER_NODE_NOT_FOUND: {
    when: 'no Node of the version that was asked for is on this machine, and none could be fetched',
    next: '"handover node" lists those of this machine; --node takes the path of a binary, too.',
    exit: EXIT.failed,
  },
  HANDOVER_CRASHED: {
    when: 'the runtime crashed too often and the supervisor gave up',
    next: 'Read the log above for why it exits; start it by hand to see.',
    exit: EXIT.crashed,
  },
  HANDOVER_UNIT_NOT_INSTALLED: {
    when: 'the unit files could not be written, or systemd could not read them (`handover unit --install`)',
    next: 'Run it as root on a machine with systemd, or print the unit (without --install) and put it where it belongs.',
    exit: EXIT.failed,
  },
  HANDOVER_SHAPE_CHANGED: {
    when: 'captured state, or a session kind, is not what is recorded for its version (`checkShapes`)',
    next: 'Count the version up, say how to step (upgrade, downgrade) and record it with HANDOVER_RECORD_SHAPES=1. If no release has ever run with what is recorded, remove its entry and record it again.',
    exit: EXIT.failed,
  },
  HANDOVER_SHAPE_UNKNOWN: {
    when: 'a version of captured state has no recorded shape, or what is recorded cannot be read (`checkShapes`)',
    next: 'Run the test once with HANDOVER_RECORD_SHAPES=1 and commit what it writes; restore what is damaged.',
    exit: EXIT.failed,
  },
  HANDOVER_STEP_WRONG: {
    when: 'an upgrade or downgrade step is missing, fails, or leads to another shape than the one recorded (`checkShapes`)',
    next: 'Mend the step, or say in the test that it is left out (without); an upgrade that needs it would be refused.',
    exit: EXIT.failed,
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** Every error this package throws on purpose. `code` is stable; `message` says who, what, limit and what to do next. */
export class HandoverError extends Error {
  override readonly name = 'HandoverError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, what: string, options?: { cause?: unknown }) {
    super(`${what}. ${ERRORS[code].next}`, options)
    this.code = code
  }

  get exitCode(): number {
    return ERRORS[this.code].exit
  }
}

/** The message of anything thrown, for reasons and logs. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
