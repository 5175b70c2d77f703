/** Asks a Node binary which it is. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { valid } from 'semver'

const ANSWERS_WITHIN_MS = 10_000

/** Undefined when it does not run here, or is no Node. */
export async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], {
      timeout: ANSWERS_WITHIN_MS,
      // A loader or an inspector of the user's is not asked.
      env: { PATH: process.env['PATH'] ?? '' },
    })
    return valid(stdout.trim()) ?? undefined
  } catch {
    return undefined
  }
}
