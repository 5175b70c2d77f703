/** Releases of the library `ws`, kept in the cache beside the Node binaries. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cleanEnvironment } from './child.js'
import { scaled } from './timeout.js'

/** The first of each shape its private fields have had. */
export const WS_VERSIONS = ['7.5.10', '8.0.0', '8.5.0', '8.13.0', '8.15.1', '8.17.1', '8.18.3', '8.20.0'] as const

const run = promisify(execFile)

/** The folder of that release, fetched if need be; undefined when it cannot be had. */
export async function wsPackage(version: string): Promise<string | undefined> {
  const cache = process.env['HANDOVER_NODE_CACHE'] ?? join(homedir(), '.cache/handover-node')
  const folder = join(cache, `ws-${version}`)
  if (existsSync(folder)) return folder
  await mkdir(cache, { recursive: true })
  const fetching = await mkdtemp(join(cache, '.fetching-'))
  try {
    const options = { cwd: fetching, env: cleanEnvironment(), timeout: scaled(60_000) }
    await run('npm', ['pack', '--silent', '--pack-destination', fetching, `ws@${version}`], options)
    await run('sh', ['-c', 'tar -xzf *.tgz && rm *.tgz'], options)
    // The first one wins.
    await rename(join(fetching, 'package'), folder).catch(() => undefined)
  } catch {
    return undefined
  } finally {
    await rm(fetching, { recursive: true, force: true })
  }
  return folder
}
