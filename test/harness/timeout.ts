/** Timeouts only bound failure: a test waits for a fact, and for no longer than this. Slow machines scale them all. */

const scale = Number(process.env['HANDOVER_TEST_TIMEOUT_SCALE'] ?? 1)

export const scaled = (ms: number): number => ms * scale

/** What a fact may take before the test that waits for it fails. */
export const FACT_WITHIN_MS = scaled(20_000)

/** The promise's own end, or an error that names what was waited for. */
export async function within<T>(promise: Promise<T>, what: string | (() => string), ms = FACT_WITHIN_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`not within ${ms} ms: ${typeof what === 'string' ? what : what()}`))
    }, ms)
  })
  try {
    return await Promise.race([promise, expired])
  } finally {
    clearTimeout(timer)
  }
}

/** Looks at the world until the fact is there: for facts of the kernel that nothing announces. */
export async function until(fact: () => boolean, what: string | (() => string), ms = FACT_WITHIN_MS): Promise<void> {
  const begunAt = performance.now()
  for (let waitedMs = 0; !fact(); waitedMs = performance.now() - begunAt) {
    if (waitedMs > ms) throw new Error(`not within ${ms} ms: ${typeof what === 'string' ? what : what()}`)
    // To look costs something, such as all of /proc: who has waited long need not know at once.
    await new Promise((resolve) => setTimeout(resolve, Math.min(25, 2 + waitedMs / 50)))
  }
}
