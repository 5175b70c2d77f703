/**
 * Preloaded into the supervisor's process, and only there (`node --import`): each channel the supervisor makes is cut in
 * two, and the middle ends go to the test process by the descriptor HANDOVER_FAULTS_TAP names. The product is as it ships,
 * and what relays its messages outlives every one of its processes.
 */
import { binding } from '../../src/sys/binding.js'
import { CONTROL } from '../../src/wire/messages.js'
import { readMessage } from './packet.js'

/** What the test process is told; the descriptors beside it are the ends to relay between. */
export type Tapped =
  /** A runtime was started. Descriptors: towards the runtime, towards the supervisor. */
  | { readonly what: 'control'; readonly pid: number }
  /** A runtime was given its end of a transfer channel. Descriptor: towards the runtime. */
  | { readonly what: 'transfer'; readonly side: 'predecessor' | 'successor' }

const tap = Number(process.env['HANDOVER_FAULTS_TAP'])
delete process.env['HANDOVER_FAULTS_TAP']
const native = binding()
const { send, spawn } = native
native.setCloseOnExec(tap, true)

function tell(tapped: Tapped, descriptors: readonly number[]): void {
  if (!send(tap, Buffer.from(JSON.stringify(tapped)), descriptors)) throw new Error('the test process does not listen')
}

native.send = (fd, payload, descriptors) => {
  // Most of what is sent has fewer descriptors, and need not be read. The channel is the first of these.
  const { kind, fields } =
    descriptors.length === CONTROL.transfer.descriptors ? readMessage({ bytes: payload, descriptors }) : { kind: '' }
  if (kind !== 'transfer') return send(fd, payload, descriptors)
  const [towardsRuntime, given] = native.socketpair()
  try {
    if (!send(fd, payload, [given, ...descriptors.slice(1)])) return false
    tell({ what: 'transfer', side: (fields as { side: 'predecessor' | 'successor' }).side }, [towardsRuntime])
    return true
  } finally {
    native.close(towardsRuntime)
    native.close(given)
  }
}

native.spawn = (program, args, environment, directory, descriptors, namesItself, identity) => {
  const [towardsRuntime, given] = native.socketpair()
  try {
    const [, at] =
      environment.map((entry) => /^HANDOVER_CHANNEL=(\d+)$/.exec(entry)).find((found) => found !== null) ?? []
    const channel = descriptors[Number(at)] as number
    const placed = descriptors.with(Number(at), given)
    const started = spawn(program, args, environment, directory, placed, namesItself, identity)
    tell({ what: 'control', pid: started.pid }, [towardsRuntime, channel])
    return started
  } finally {
    native.close(towardsRuntime)
    native.close(given)
  }
}
