/** Whose processes a server's are, when they are not to be the supervisor's own user's. */
import { HandoverError } from '../errors.js'
import { binding } from '../sys/binding.js'

export interface ProgramUser {
  /** User, group, supplementary groups. */
  readonly identity: readonly number[]
  /** What its own login would find, as far as the user has an entry. */
  readonly environment: Readonly<Record<string, string>>
}

/** The kernel's (uid_t)-1 means "unchanged"; the addon takes what fits an int. */
const MAX_ID = 0x7ffffffe

/**
 * Looks up `USER` or `USER:GROUP`, names or numbers; a user given as a number needs its group.
 * @throws HandoverError HANDOVER_USAGE: there is no such user or group, or this process may not start one of theirs.
 */
export function programUser(text: string): ProgramUser {
  const [name = '', groupName, ...rest] = text.split(':')
  if (name === '' || groupName === '' || rest.length > 0) refuse(text, 'it is to be USER or USER:GROUP')
  const gid = groupName === undefined ? undefined : (numberOf(groupName) ?? binding().lookUpGroup(groupName))
  if (groupName !== undefined && gid === undefined) refuse(text, `there is no group "${groupName}"`)
  const uid = numberOf(name)
  const entry = uid === undefined ? binding().lookUpUser(name) : undefined
  if (uid === undefined && entry === undefined) refuse(text, `there is no user "${name}"`)
  if (uid !== undefined && gid === undefined)
    refuse(text, `a user given as a number needs its group, such as ${uid}:${uid}`)
  const group = gid ?? entry?.gid ?? 0
  const identity = [uid ?? entry?.uid ?? 0, group, ...new Set([group, ...(entry?.groups ?? [])])]
  if (process.geteuid?.() !== 0)
    refuse(text, `only root may start processes of another user, and this is user ${process.geteuid?.()}`)
  return {
    identity,
    environment:
      entry === undefined
        ? { USER: name, LOGNAME: name }
        : { USER: entry.name, LOGNAME: entry.name, HOME: entry.home, SHELL: entry.shell },
  }
}

/** Undefined of a name. */
function numberOf(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined
  const number = Number(text)
  return number <= MAX_ID ? number : refuse(text, `an id is at most ${MAX_ID}`)
}

function refuse(text: string, what: string): never {
  throw new HandoverError('HANDOVER_USAGE', `--user ${text}: ${what}`)
}
