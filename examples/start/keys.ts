/** Single keys of a terminal. */

const CTRL_C = '\u0003'

/** Calls what belongs to a key until the returned function is called. Does nothing where there is no terminal. */
export function keys(actions: Readonly<Record<string, () => void>>): () => void {
  const { stdin } = process
  if (!stdin.isTTY) return () => undefined
  const onData = (data: Buffer): void => {
    for (const key of String(data)) {
      // In raw mode the terminal does not make a signal of it.
      if (key === CTRL_C) process.kill(process.pid, 'SIGINT')
      else actions[key]?.()
    }
  }
  stdin.setRawMode(true)
  stdin.on('data', onData)
  return () => {
    stdin.removeListener('data', onData)
    stdin.setRawMode(false)
    stdin.pause()
  }
}
