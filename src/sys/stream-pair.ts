/** Two ends of one stream between processes: without a path, an address or a port. */
import { Socket } from 'node:net'
import { binding } from './binding.js'

/** Connected to each other; each owns its descriptor. */
export function streamPair(): [Socket, Socket] {
  const [left, right] = binding().streampair()
  try {
    return [new Socket({ fd: left }), new Socket({ fd: right })]
  } catch (error) {
    binding().close(left)
    binding().close(right)
    throw error
  }
}
