/** The tables of PROTOCOL.md as the literals would write them. */
import { type FOLLOWING, PHASES, type Phase, type Side, type Step } from '../../src/transfer/phases.js'
import * as fields from '../../src/wire/fields.js'
import type { MessageTable } from '../../src/wire/messages.js'
import { isSessionRecord, isSessionUpdate } from '../../src/wire/session-record.js'

/** The parts of a valibot schema that are read here. */
interface Schema {
  readonly type: string
  readonly pipe?: readonly Schema[]
  readonly entries?: Readonly<Record<string, Schema>>
  readonly item?: Schema
  readonly wrapped?: Schema
  readonly options?: readonly string[]
  readonly requirement?: unknown
  readonly check?: unknown
}

/** What fields.ts gives a name. */
const PIECES = Object.entries(fields as unknown as Record<string, unknown>).filter(
  (entry): entry is [string, Schema] => typeof entry[1] === 'object',
)
const nameOf = (schema: Schema): string | undefined => PIECES.find(([, piece]) => piece === schema)?.[0]

/** `{ request: count, host: name or null }` */
export function typeOf(schema: Schema, isPiece = false): string {
  const known = isPiece ? undefined : nameOf(schema)
  if (known !== undefined) return known
  if (schema.pipe !== undefined) {
    const [base, ...rules] = schema.pipe as [Schema, ...Schema[]]
    return `${typeOf(base)} (${rules.map(ruleOf).join(', ')})`
  }
  switch (schema.type) {
    case 'object':
      return `{ ${fieldsOf(schema)} }`.replace('{  }', '{}')
    case 'array':
      return `[${typeOf(schema.item!)}]`
    case 'nullable':
      return `${typeOf(schema.wrapped!)} or null`
    case 'picklist':
      return schema.options!.map((option) => `"${option}"`).join(' or ')
    case 'custom':
      if (schema.check === isSessionRecord) return 'record'
      return schema.check === isSessionUpdate ? 'change' : 'byte string'
    default:
      return schema.type
  }
}

function ruleOf({ type, requirement }: Schema): string {
  const rule: Record<string, string> = {
    safe_integer: 'integer up to 2^53 - 1',
    finite: 'finite',
    min_value: `at least ${requirement}`,
    max_value: `at most ${requirement}`,
    min_length: `length at least ${requirement}`,
    max_length: `length at most ${requirement}`,
    regex: `like ${String(requirement)}`,
  }
  return rule[type] ?? `?${type}`
}

function fieldsOf({ entries = {} }: Schema): string {
  return Object.entries(entries)
    .map(([name, field]) =>
      field.type === 'optional' ? `${name}?: ${typeOf(field.wrapped!)}` : `${name}: ${typeOf(field)}`,
    )
    .join(', ')
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

export const messagesTable = (messages: MessageTable): string =>
  table(
    ['message', 'from', 'descriptors', 'fields'],
    Object.entries(messages).map(([kind, { from, descriptors, fields: schema }]) => {
      const each = 'one for each of `sessions`'
      const count =
        { sessions: each, 'sessions and token': `${each}, and the token` }[descriptors] ?? String(descriptors)
      const type = fieldsOf(schema as unknown as Schema)
      return [`\`${kind}\``, from, count, type === '' ? 'none' : `\`${type}\``]
    }),
  )

export const piecesTable = (): string =>
  table(
    ['name', 'what it is'],
    PIECES.map(([name, schema]) => [`\`${name}\``, `\`${typeOf(schema, true)}\``]),
  )

const stepOf = ([event, { to, fence }]: [string, Step]): string =>
  `\`${event}\` → ${to}${fence === undefined ? '' : ` (${fence})`}`

export const phasesTable = (side: Side, tables: typeof PHASES | typeof FOLLOWING = PHASES): string =>
  table(
    ['phase', 'what the side does', 'owns', 'deadline', 'events'],
    Object.entries(tables[side] as Record<string, Phase>).map(([name, { does, owns, deadline, on }]) => [
      `**${name}**`,
      does,
      owns ? 'yes' : 'no',
      deadline ?? '–',
      Object.entries(on).map(stepOf).join('<br>') || '–',
    ]),
  )
