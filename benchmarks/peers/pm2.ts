/**
 * `pm2 reload` in cluster mode. pm2 is no dependency: it is taken when it is there (`npm install --no-save pm2`, or in PATH).
 * Its daemon, its logs and its sockets live in a folder of the trial's own (PM2_HOME), never in the user's.
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isRunning } from '../../test/harness/census.js'
import { cleanEnvironment } from '../../test/harness/child.js'
import { until } from '../../test/harness/timeout.js'
import type { ProtocolName } from '../protocols.js'
import { serverCommand } from '../trials/harness.js'
import { accepts, findProgram, freePort, type Peer, temporaryFolder } from './peer.js'

function findPm2(): string[] | undefined {
  try {
    return [process.execPath, createRequire(import.meta.url).resolve('pm2/bin/pm2')]
  } catch {
    const program = findProgram('pm2')
    return program === undefined ? undefined : [program]
  }
}

export const pm2 = (protocol: ProtocolName): Peer => ({
  title: 'pm2 reload',
  protocol,
  replaces: 'server',
  descriptors: 1,
  unavailable: () => (findPm2() === undefined ? 'pm2 is not installed (npm install --no-save pm2)' : undefined),
  async start(t, connections) {
    const home = temporaryFolder(t)
    const port = await freePort()
    const env = cleanEnvironment({ PM2_HOME: home, PM2_DISCRETE_MODE: 'true', PORT: String(port) })
    const [command, ...leading] = findPm2()!
    const run = async (...words: string[]): Promise<string> => {
      const { stdout } = await promisify(execFile)(command!, [...leading, ...words], { env, timeout: 60_000 })
      return stdout
    }
    const pidFile = join(home, 'pm2.pid')
    t.teardown(async () => {
      const daemon = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : undefined
      await run('kill').catch(() => undefined)
      if (daemon !== undefined) await until(() => !isRunning(daemon), "the end of pm2's daemon")
    })
    const words = protocol === 'tcp' ? [connections, 1024, 'plain'] : [connections, 'plain']
    const [, , script, ...args] = serverCommand(protocol === 'tcp' ? 'echo' : 'http', words)
    const app = { name: 'bench', script, args, exec_mode: 'cluster', instances: 1, autorestart: true }
    const config = join(home, 'bench.config.json')
    writeFileSync(config, JSON.stringify({ apps: [app] }))
    await run('start', config)
    await accepts(port)
    let serving = await pids(run)
    return {
      port,
      serving: () => serving,
      reload: async () => {
        await run('reload', 'bench')
        serving = await pids(run)
      },
    }
  },
})

async function pids(run: (...words: string[]) => Promise<string>): Promise<number[]> {
  return (await run('pid', 'bench')).trim().split('\n').map(Number)
}
