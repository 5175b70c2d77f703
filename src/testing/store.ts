/**
 * The recorded shapes (one JSON file) and the corpus (a folder): a sample is the CBOR of its envelope, in a file that is
 * named for its checksum. The JSON names the samples of each version, so that one that is missing is noticed.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HandoverError, messageOf } from '../errors.js'
import { type Envelope, openState } from '../wire/envelope.js'
import type { Shape } from './shape.js'
import { fromJson, objectOf, toJson } from './shape-json.js'

export type Section = 'sessions' | 'states'
const SECTIONS = ['sessions', 'states'] as const

export interface Recorded {
  readonly shape: Shape
  readonly samples: readonly Envelope[]
}

export class Store {
  readonly #file: string
  readonly #corpus: string
  readonly #versions: Record<Section, Map<string, Map<number, Recorded>>> = { sessions: new Map(), states: new Map() }

  private constructor(file: string, corpus: string) {
    this.#file = file
    this.#corpus = corpus
  }

  /** @throws HandoverError HANDOVER_SHAPE_UNKNOWN when a file cannot be read as what it should be. */
  static async open(file: URL | string, corpus: URL | string | undefined): Promise<Store> {
    const path = pathOf(file)
    const store = new Store(path, corpus === undefined ? join(dirname(path), 'corpus') : pathOf(corpus))
    const text = await readFile(path, 'utf8').catch(ifMissing)
    if (text === undefined) return store
    try {
      await store.#read(objectOf(JSON.parse(text)))
    } catch (cause) {
      throw new HandoverError('HANDOVER_SHAPE_UNKNOWN', `${path} cannot be read: ${messageOf(cause)}`, { cause })
    }
    return store
  }

  names(section: Section): Iterable<string> {
    return this.#versions[section].keys()
  }

  versions(section: Section, name: string): Map<number, Recorded> {
    return this.#versions[section].get(name) ?? new Map()
  }

  /** Adds a version that is not there; none is ever written over. */
  async add(section: Section, name: string, version: number, recorded: Recorded): Promise<void> {
    const versions = this.versions(section, name)
    if (versions.has(version)) throw new Error(`version ${version} of ${name} is recorded already`)
    await mkdir(this.#corpus, { recursive: true })
    for (const { bytes, checksum } of recorded.samples)
      await writeFile(this.#sample(section, name, version, hex(checksum)), bytes)
    this.#versions[section].set(name, versions.set(version, recorded))
    // Last: what the file names is there.
    await writeFile(this.#file, `${JSON.stringify(this.#json(), null, 2)}\n`)
  }

  #json(): object {
    const entriesOf = (versions: Map<number, Recorded>) =>
      Array.from(versions, ([version, { shape, samples }]) => [
        version,
        { samples: samples.map(({ checksum }) => hex(checksum)).join(' '), shape: toJson(shape) },
      ])
    const sectionOf = (section: Section) =>
      Object.fromEntries(
        [...this.#versions[section]]
          .sort(([one], [other]) => (one < other ? -1 : 1))
          .map(([name, versions]) => [name, Object.fromEntries(entriesOf(versions))]),
      )
    return Object.fromEntries(SECTIONS.map((section) => [section, sectionOf(section)]))
  }

  async #read(json: Readonly<Record<string, unknown>>): Promise<void> {
    for (const section of SECTIONS)
      for (const [name, versions] of Object.entries(objectOf(json[section] ?? {}))) {
        const read = new Map<number, Recorded>()
        for (const [version, entry] of Object.entries(objectOf(versions)))
          read.set(Number(version), await this.#readVersion(section, name, Number(version), objectOf(entry)))
        this.#versions[section].set(name, read)
      }
  }

  async #readVersion(
    section: Section,
    name: string,
    version: number,
    entry: Readonly<Record<string, unknown>>,
  ): Promise<Recorded> {
    const { samples, shape } = entry
    if (typeof samples !== 'string' || !/^[\da-f]{8}( [\da-f]{8})*$/.test(samples) || !(version >= 1))
      throw new Error(`version ${version} of ${name} must name its samples by their checksums`)
    const read = samples.split(' ').map(async (digits): Promise<Envelope> => {
      const path = this.#sample(section, name, version, digits)
      const envelope = { bytes: await readFile(path), checksum: Number.parseInt(digits, 16) }
      try {
        openState(envelope)
      } catch (error) {
        throw new Error(`${path}: ${messageOf(error)}`)
      }
      return envelope
    })
    return { shape: fromJson(shape), samples: await Promise.all(read) }
  }

  #sample(section: Section, name: string, version: number, digits: string): string {
    return join(this.#corpus, `${section}-${encodeURIComponent(name)}-${version}-${digits}.cbor`)
  }
}

const hex = (checksum: number): string => checksum.toString(16).padStart(8, '0')

const pathOf = (file: URL | string): string => (file instanceof URL ? fileURLToPath(file) : file)

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
