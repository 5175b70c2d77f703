/** The project's own files, for tests that hold code and documents against each other. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The package's folder, with a slash at its end. */
export const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface SourceFile {
  /** Relative to the root. */
  readonly path: string
  readonly text: string
}

export function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(`${root}${folder}`, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|cc|h|js)$/.test(name))
    .map((name) => ({ path: `${folder}/${name}`, text: readFileSync(`${root}${folder}/${name}`, 'utf8') }))
}

/** Fenced blocks of a Markdown file, in order. */
export function blocksOf(path: string): { language: string; code: string }[] {
  const text = readFileSync(`${root}${path}`, 'utf8')
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = '', code = '']) => ({ language, code }))
}

/** Files git tracks, or all that are there when this is no checkout. */
export function trackedFiles(): string[] {
  if (!existsSync(`${root}.git`)) return []
  return execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).trim().split('\n')
}
