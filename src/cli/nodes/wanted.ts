/** What `--node` asks for: a path, a version, or a file that names one. */
import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { validRange } from 'semver'
import { HandoverError } from '../../errors.js'

export type Wanted =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'range'; readonly range: string; readonly named: string }

/** Release lines by the names nodejs.org gives them (https://github.com/nodejs/Release). */
const CODE_NAMES: Record<string, number> = { iron: 20, jod: 22, krypton: 24 }
/** Lines that are, or become, long-term supported; a later even one is added with its first release. */
const LTS_LINES = [20, 22, 24, 26]
/** A file that names a version is one short line, with comments perhaps: `.nvmrc`, `.node-version`. */
const MOST_BYTES = 1024

/** @throws HandoverError HANDOVER_USAGE */
export function wantedOf(text: string, directory: string = process.cwd()): Wanted {
  const range = rangeOf(text)
  if (range !== undefined) return { kind: 'range', range, named: text }
  // As a shell does: a name without a slash is looked for in PATH, but for one of a file that names a version.
  if (!text.includes('/') && !text.startsWith('.')) return { kind: 'path', path: text }
  const path = resolve(directory, text)
  const found = statOf(path)
  // What cannot be seen cannot be started, and whoever tries says so.
  if (found === undefined) return { kind: 'path', path }
  if (found.isDirectory())
    throw usage(`--node ${text} is a folder; name the binary in it, such as ${text.replace(/\/*$/, '')}/bin/node`)
  if (found.size > MOST_BYTES || readFileSync(path, 'latin1').startsWith('#!')) return { kind: 'path', path }
  const named = firstLineOf(readFileSync(path, 'utf8'))
  const fromFile = rangeOf(named)
  if (fromFile !== undefined) return { kind: 'range', range: fromFile, named: `${named} (${text})` }
  throw usage(
    `--node ${text}: the file says ${JSON.stringify(named)}, which is no version of Node such as 24, v24.9.0 or lts/*`,
  )
}

function statOf(path: string) {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

/** As version managers take it; undefined when it is no version. */
function rangeOf(text: string): string | undefined {
  const name = text.trim().toLowerCase()
  if (['latest', 'current', 'node', 'stable'].includes(name)) return '*'
  if (name === 'lts' || name === 'lts/*') return LTS_LINES.map((line) => `^${line}.0.0`).join(' || ')
  const codeName = CODE_NAMES[name.replace(/^lts\//, '')]
  if (codeName !== undefined) return `^${codeName}.0.0`
  return /^[v=^~<>]*\d/.test(name) ? (validRange(name) ?? undefined) : undefined
}

const firstLineOf = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .find((line) => line !== '')
    ?.slice(0, 100) ?? ''

const usage = (what: string) => new HandoverError('HANDOVER_USAGE', what)
