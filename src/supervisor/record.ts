/**
 * What only a supervisor knows, in a file of the runtime directory for the one that comes after it: written whenever it changes,
 * whole or not at all, and read by nobody else. What is in it is checked before anything of it is used.
 */
import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { messageOf } from '../errors.js'
import { NOTIFY_ADDRESS } from './notify.js'
import type { Release } from './release.js'
import type { Side, UpgradeResult } from './result.js'

/** Counted up when the meaning of a field changes. A field that may be absent can be added without that. */
const FORMAT = 1
const FILE = 'record.json'
const MAX_BYTES = 16 * 1024 * 1024

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const text = v.pipe(v.string(), v.maxLength(65_536))
const release = v.pipe(
  v.object({
    command: v.pipe(v.array(text), v.minLength(1)),
    cwd: text,
    node: v.exactOptional(text),
    ready: v.exactOptional(v.custom<NonNullable<Release['ready']>>((value) => typeof value === 'string')),
    settleMs: v.exactOptional(v.number()),
    stopSignal: v.exactOptional(v.custom<NodeJS.Signals>((value) => typeof value === 'string')),
    environmentFiles: v.exactOptional(v.array(text)),
    user: v.exactOptional(text),
  }),
  v.transform((checked): Release => checked),
)
const target = v.object({ release, running: release })
const side = v.custom<Side>((value) => typeof value === 'object' && value !== null)

/** A process. */
const row = v.object({
  number: count,
  worker: count,
  workers: count,
  start: count,
  release,
  /** Null until it is there. */
  pid: v.nullable(v.pipe(count, v.minValue(1))),
  startTime: v.nullable(v.pipe(v.string(), v.regex(/^\d{1,20}$/))),
  notify: v.pipe(v.string(), v.regex(NOTIFY_ADDRESS)),
  startedAtMs: v.number(),
  drainUntilMs: v.nullable(v.number()),
})

/** An upgrade that has not ended. */
const upgrade = v.object({
  id: count,
  /** Number of the generation it goes to. */
  number: count,
  /** The only one concerned. */
  worker: v.nullable(count),
  workers: count,
  target,
  startedAt: text,
  from: side,
  /** Null before it is decided. */
  isCommitted: v.nullable(v.boolean()),
})

const record = v.object({
  /** The kernel's: pids and instants are of one run of the machine only. */
  boot: text,
  generations: count,
  starts: count,
  upgrades: count,
  workers: v.pipe(count, v.minValue(1)),
  target,
  /** Of workers that have gone before the others. */
  own: v.array(v.object({ worker: count, target })),
  under: v.array(upgrade),
  lastUpgrade: v.nullable(v.custom<UpgradeResult>((value) => typeof value === 'object' && value !== null)),
  processes: v.array(row),
})

export type ProcessRecord = v.InferOutput<typeof row>
export type UpgradeRecord = v.InferOutput<typeof upgrade>
export type SupervisorRecord = v.InferOutput<typeof record>

let boot: string | undefined

/** Of this run of the machine (random(4)). */
export function bootId(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  return boot
}

const digestOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex')

export class RecordFile {
  readonly #path: string

  constructor(directory: string) {
    this.#path = join(directory, FILE)
  }

  /** Undefined when there is none. Throws with what is wrong with the one there is. */
  read(): SupervisorRecord | undefined {
    let descriptor: number
    try {
      descriptor = openSync(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    try {
      const stats = fstatSync(descriptor)
      if (!stats.isFile() || stats.uid !== process.geteuid?.() || (stats.mode & 0o077) !== 0)
        throw new Error(
          `it is not a file of this user's alone (user ${stats.uid}, mode 0${(stats.mode & 0o777).toString(8)})`,
        )
      if (stats.size > MAX_BYTES) throw new Error(`it has ${stats.size} bytes, the limit is ${MAX_BYTES}`)
      return parseRecord(readFileSync(descriptor, 'utf8'))
    } finally {
      closeSync(descriptor)
    }
  }

  /** Throws the system's error. */
  write(written: SupervisorRecord): void {
    const next = `${this.#path}.next`
    // Not written through what may be there.
    rmSync(next, { force: true })
    writeFileSync(next, formatRecord(written), { mode: 0o600, flag: 'wx' })
    renameSync(next, this.#path)
  }

  /** It is not used, and can be looked at until an orderly stop. Returns where. */
  setAside(): string {
    const aside = `${this.#path}.damaged`
    renameSync(this.#path, aside)
    return aside
  }

  remove(): void {
    for (const suffix of ['', '.next', '.damaged']) rmSync(`${this.#path}${suffix}`, { force: true })
  }
}

export function formatRecord(written: SupervisorRecord): string {
  return JSON.stringify({ format: FORMAT, digest: digestOf(written), record: written })
}

/** Throws with what is wrong with it. */
export function parseRecord(json: string): SupervisorRecord {
  let whole: unknown
  try {
    whole = JSON.parse(json)
  } catch (error) {
    throw new Error(`it is no JSON: ${messageOf(error)}`)
  }
  const { format, digest, record: body } = (whole ?? {}) as Record<string, unknown>
  if (format !== FORMAT) throw new Error(`it has the format ${JSON.stringify(format)}, and ${FORMAT} is known here`)
  if (digest !== digestOf(body)) throw new Error('its checksum does not match')
  const checked = v.safeParse(record, body)
  if (checked.success) return checked.output
  const [issue] = checked.issues
  throw new Error(`${v.getDotPath(issue) ?? 'it'}: ${issue.message}`)
}
