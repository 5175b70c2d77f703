/** Room for the descriptors of a transfer, checked and made before the first of them moves. */
import { binding } from '../sys/binding.js'
import { openDescriptors } from '../sys/open-descriptors.js'
import { Refusal } from '../transfer/types.js'

/** What else the process may open meanwhile, roughly. */
const SPARE_DESCRIPTORS = 64

/**
 * Raises the soft limit as far as need be, and grows the table of descriptors, now, while the clients are served: each
 * doubling during the freeze would wait for RCU. A process at its limit would cut those who connect. Throws Refusal.
 */
export function makeRoom(sessions: number): void {
  if (sessions === 0) return
  const { soft, hard } = binding().descriptorLimit()
  const needed = openDescriptors() + sessions + SPARE_DESCRIPTORS
  if (needed > hard) {
    const reason = `the successor would need ${needed} descriptors for ${sessions} sessions, its limit (RLIMIT_NOFILE, hard) is ${hard}`
    throw new Refusal([{ reason, count: sessions }])
  }
  if (needed > soft) binding().setDescriptorLimit(needed)
  binding().growDescriptorTable(needed)
}
