/** The Node binary that `--node` names: by path, by version, or by a file with a version. */
import { rcompare, satisfies } from 'semver'
import { HandoverError } from '../../errors.js'
import { fetchNode } from './fetch.js'
import { type InstalledNode, installedNodes } from './installed.js'
import { versionOf } from './version.js'
import { wantedOf } from './wanted.js'

export interface FoundNode extends InstalledNode {
  readonly version: string
}

/** Every Node of this machine that runs, the newest first, with the version it says itself. */
export const listNodes = (environment: NodeJS.ProcessEnv = process.env): Promise<FoundNode[]> =>
  ask(installedNodes(environment))

/** Those that run, the newest first. */
async function ask(nodes: readonly InstalledNode[]): Promise<FoundNode[]> {
  const asked = await Promise.all(nodes.map(async (node) => ({ ...node, version: await versionOf(node.path) })))
  return asked
    .filter((node): node is FoundNode => node.version !== undefined)
    .sort((a, b) => rcompare(a.version, b.version))
}

/**
 * The binary to run. A version is looked for on this machine first, the newest that fits, and then fetched; a folder's name is
 * not believed, the binary is asked.
 * @param onFetch it is not on this machine, and is fetched now; `false`: it is not to be.
 * @throws HandoverError HANDOVER_USAGE, HANDOVER_NODE_NOT_FOUND
 */
export async function findNode(
  text: string,
  onFetch: ((range: string) => void) | false = () => undefined,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const wanted = wantedOf(text)
  if (wanted.kind === 'path') return wanted.path
  const { range, named } = wanted
  const [newest] = (
    await ask(installedNodes(environment).filter(({ version }) => version === undefined || satisfies(version, range)))
  ).filter(({ version }) => satisfies(version, range))
  if (newest !== undefined) return newest.path
  if (onFetch === false) throw new HandoverError('HANDOVER_NODE_NOT_FOUND', `no Node ${named} is on this machine`)
  onFetch(named)
  const path = await fetchNode(range, environment)
  const version = await versionOf(path)
  if (version !== undefined && satisfies(version, range)) return path
  throw new HandoverError(
    'HANDOVER_NODE_NOT_FOUND',
    `what was fetched for Node ${named} is ${version ?? 'not to be run'}`,
  )
}
