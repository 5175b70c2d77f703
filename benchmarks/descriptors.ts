import { binding } from '../src/sys/binding.js'

/** Descriptors a Node process has beside its connections; generous. */
const OTHERS = 200

/** Raises the soft limit as far as needed, and says so when the hard limit does not allow it. */
export function raiseDescriptorLimit(connections: number): void {
  const { soft, hard } = binding().descriptorLimit()
  const needed = connections + OTHERS
  if (needed > hard) throw new Error(`${connections} connections need ${needed} descriptors; the hard limit is ${hard}`)
  if (needed > soft) binding().setDescriptorLimit(needed)
}
