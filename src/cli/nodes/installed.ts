/** The Node versions of this machine: in the folders of the version managers, in PATH, and this one. */
import { accessSync, constants, readdirSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { valid } from 'semver'

export interface InstalledNode {
  /** Such as 24.9.0; undefined of one in PATH, whose name does not say it. */
  readonly version: string | undefined
  readonly path: string
  /** Who put it there. */
  readonly from: string
}

type Environment = Readonly<Record<string, string | undefined>>

/** Where the versions that were fetched are kept. */
export const nodeCache = (environment: Environment = process.env): string =>
  join(environment['XDG_CACHE_HOME'] || join(homeOf(environment), '.cache'), 'handover', 'node')

const homeOf = (environment: Environment): string => environment['HOME'] || homedir()

/** Of each manager: the folders with one folder per version, and where the binary is in that. */
function managers(environment: Environment): readonly (readonly [from: string, folders: string[], binary: string])[] {
  const home = homeOf(environment)
  const data = environment['XDG_DATA_HOME'] || join(home, '.local/share')
  const own = (variable: string, fallback: string) => environment[variable] || join(home, fallback)
  return [
    ['handover', [nodeCache(environment)], 'bin/node'],
    ['nvm', [join(own('NVM_DIR', '.nvm'), 'versions/node')], 'bin/node'],
    [
      'fnm',
      [environment['FNM_DIR'] || join(data, 'fnm'), join(home, '.fnm')].map((each) => join(each, 'node-versions')),
      'installation/bin/node',
    ],
    ['volta', [join(own('VOLTA_HOME', '.volta'), 'tools/image/node')], 'bin/node'],
    ['asdf', [join(own('ASDF_DATA_DIR', '.asdf'), 'installs/nodejs')], 'bin/node'],
    ['mise', [join(environment['MISE_DATA_DIR'] || join(data, 'mise'), 'installs/node')], 'bin/node'],
    ['n', [join(environment['N_PREFIX'] || '/usr/local', 'n/versions/node')], 'bin/node'],
    ['nodenv', [join(own('NODENV_ROOT', '.nodenv'), 'versions')], 'bin/node'],
    ['pnpm', [join(environment['PNPM_HOME'] || join(data, 'pnpm'), 'nodejs')], 'bin/node'],
  ]
}

/** All of them; each binary once. */
export function installedNodes(environment: Environment = process.env): InstalledNode[] {
  const found: InstalledNode[] = [{ version: process.versions.node, path: process.execPath, from: 'this one' }]
  for (const [from, folders, binary] of managers(environment))
    for (const folder of folders)
      for (const name of namesIn(folder)) {
        // nvm's "iojs-v3.3.1", mise's links "24" and "latest": not a version, or one that has a folder too.
        const version = valid(name)
        if (version !== null) found.push({ version, path: join(folder, name, binary), from })
      }
  for (const folder of (environment['PATH'] ?? '').split(delimiter))
    if (folder.startsWith('/')) found.push({ version: undefined, path: join(folder, 'node'), from: 'PATH' })
  const seen = new Set<string>()
  return found.filter(({ path }) => {
    const real = realOf(path)
    const isNew = real !== undefined && !seen.has(real)
    if (isNew) seen.add(real)
    return isNew
  })
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Undefined when it cannot be executed. */
function realOf(path: string): string | undefined {
  try {
    accessSync(path, constants.X_OK)
    return realpathSync(path)
  } catch {
    return undefined
  }
}
