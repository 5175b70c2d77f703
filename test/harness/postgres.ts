/** A PostgreSQL server of its own, on a unix socket in a directory of its own. */
import { execFile } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Child, cleanEnvironment, startChild, type Teardown } from './child.js'

const run = promisify(execFile)
const ROOT = '/usr/lib/postgresql'

/** Where the newest of Debian's versions has its programs; undefined when there is none. */
export function postgresPrograms(): string | undefined {
  if (!existsSync(ROOT)) return undefined
  const newest = readdirSync(ROOT).sort((a, b) => Number(b) - Number(a))[0]
  const folder = join(ROOT, newest ?? '', 'bin')
  return existsSync(join(folder, 'initdb')) ? folder : undefined
}

/** It refuses to run as root: then it is its own user, or nobody. */
function account(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8')) ?? []
  return { uid: Number(uid ?? 65_534), gid: Number(gid ?? 65_534) }
}

/** Resolves when it answers; the variables are those by which clients find it. */
export async function startPostgres(t: Teardown): Promise<{ env: NodeJS.ProcessEnv; child: Child }> {
  const programs = postgresPrograms()
  if (programs === undefined) throw new Error('there is no PostgreSQL server')
  const folder = mkdtempSync(join(tmpdir(), 'handover-pg-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const owner = account()
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid)
  const data = join(folder, 'data')
  await run(join(programs, 'initdb'), ['-D', data, '-A', 'trust', '-U', 'postgres', '--no-sync'], {
    env: cleanEnvironment(),
    ...owner,
  })
  const settings = ['-c', 'listen_addresses=', '-c', 'fsync=off', '-c', 'log_destination=stderr']
  const args = ['-D', data, '-k', folder, ...settings]
  const child = startChild(t, join(programs, 'postgres'), args, owner === undefined ? {} : { owner })
  await child.line(/database system is ready to accept connections/)
  return { env: { PGHOST: folder, PGUSER: 'postgres', PGDATABASE: 'postgres' }, child }
}
