/** The descriptors a service manager starts its service with: sd_listen_fds(3). */
import { binding } from '../../sys/binding.js'

/** SD_LISTEN_FDS_START: behind the standard streams. */
const FIRST = 3

export interface Passed {
  /** As the socket unit (FileDescriptorName=) or the store (FDNAME=) has it. */
  readonly name: string
  readonly descriptor: number
}

/**
 * Takes them over: the caller owns them, and no program it starts inherits them. None when they are another process'
 * (LISTEN_PID), as in a shell that was started with some.
 */
export function passedDescriptors(environment: NodeJS.ProcessEnv, pid: number): Passed[] {
  const count = Number(environment['LISTEN_FDS'] ?? 0)
  if (environment['LISTEN_PID'] !== String(pid) || !Number.isInteger(count) || count < 1) return []
  const names = (environment['LISTEN_FDNAMES'] ?? '').split(':')
  return Array.from({ length: count }, (_, index) => {
    const descriptor = FIRST + index
    binding().setCloseOnExec(descriptor, true)
    return { name: names[index] || 'unknown', descriptor }
  })
}
