/**
 * Bytes that earlier releases wrote, and what they meant: today's reader reads every one. To add a message or a value, put
 * it into the newest test/wire/corpus/vN.ts and run this once with HANDOVER_RECORD_CORPUS=1; what is stored is never
 * written over. To add a version (PROTOCOL_VERSION or FRAME_VERSION was bumped): a new vN.ts, and its name in CORPORA. A
 * version is taken out when the protocol drops it, which PROTOCOL.md allows once no release in use needs it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { BAG } from '../../src/wire/bag.js'
import { decodeBody, encodeBody } from '../../src/wire/codec.js'
import { openState, sealState } from '../../src/wire/envelope.js'
import { HEADER_BYTES, readHeader, writeHeader } from '../../src/wire/frame.js'
import { CONTROL, type MessageTable, PROTOCOL_RANGE, PROTOCOL_VERSION, TRANSFER } from '../../src/wire/messages.js'
import { root } from '../docs/source.js'
import * as v1 from './corpus/v1.js'
import { difference } from './same.js'

const CORPORA: Readonly<Record<number, typeof v1>> = { 1: v1 }
const TABLES: Readonly<Record<keyof typeof v1.MESSAGES, MessageTable>> = { CONTROL, TRANSFER, BAG }
const isRecording = process.env['HANDOVER_RECORD_CORPUS'] === '1'

const folderOf = (version: number): string => `${root}test/wire/corpus/v${version}/`

t.test('there is a corpus of every protocol version that is spoken', async (t) => {
  const spoken = Array.from({ length: PROTOCOL_RANGE.max - PROTOCOL_RANGE.min + 1 }, (_, at) => PROTOCOL_RANGE.min + at)
  t.same(Object.keys(CORPORA).map(Number), spoken)
  const newest = CORPORA[PROTOCOL_VERSION]?.MESSAGES
  for (const [name, table] of Object.entries(TABLES))
    t.same(Object.keys(newest?.[name as 'CONTROL'] ?? {}).sort(), Object.keys(table).sort(), `every message of ${name}`)
})

for (const [version, { STATES, MESSAGES }] of Object.entries(CORPORA)) {
  const folder = folderOf(Number(version))
  const known = new Set<string>()
  /** The file, which is written first when it is missing and that was asked for. */
  const read = (name: string, write: () => Uint8Array): Buffer => {
    known.add(name)
    if (isRecording && !existsSync(folder + name)) {
      mkdirSync(folder, { recursive: true })
      writeFileSync(folder + name, write())
    }
    return readFileSync(folder + name)
  }

  for (const [name, value] of Object.entries(STATES)) {
    t.test(`version ${version}, state ${name}`, async (t) => {
      // An envelope is bytes and their checksum, which is in the name.
      const pattern = new RegExp(`^state-${name}-([\\da-f]{8})\\.cbor$`)
      const sealed = sealState(value)
      const digits = sealed.checksum.toString(16).padStart(8, '0')
      const files = existsSync(folder) ? readdirSync(folder).filter((file) => pattern.test(file)) : []
      t.ok(files.length <= 1, 'one file of a name')
      const file = files[0] ?? `state-${name}-${digits}.cbor`
      const bytes = read(file, () => sealed.bytes)
      const checksum = Number.parseInt(pattern.exec(file)![1]!, 16)
      t.equal(difference(value, openState({ bytes, checksum })), undefined)
    })
  }

  for (const [table, messages] of Object.entries(MESSAGES)) {
    for (const [kind, { descriptors, sequence, fields }] of Object.entries(messages)) {
      t.test(`version ${version}, ${table} ${kind}`, async (t) => {
        const rows = TABLES[table as keyof typeof TABLES]
        const message = read(`${table.toLowerCase()}-${kind}.message`, () => {
          const body = encodeBody<MessageTable, string>(kind, fields)
          const header = Buffer.alloc(HEADER_BYTES)
          writeHeader(header, { external: false, descriptors, sequence, length: body.length })
          return Buffer.concat([header, body])
        })
        const header = readHeader(message, descriptors, sequence)
        t.same(header, { external: false, descriptors, sequence, length: message.length - HEADER_BYTES })
        const decoded = decodeBody(rows, rows[kind]!.from, message.subarray(HEADER_BYTES), descriptors)
        t.equal(decoded.kind, kind)
        t.strictSame(decoded.fields, fields)
      })
    }
  }

  t.test(`version ${version}: every file has its meaning`, async (t) =>
    t.same(readdirSync(folder).sort(), [...known].sort()),
  )
}
