/** What a checkpoint says of its socket, in a transfer into escrow: in the place of the socket's description in a record or an update. */

/** Bytes read from, and written to, the connection by its process, when its state was captured (Binding.streamPosition). */
export interface Position {
  readonly read: number
  readonly written: number
}

/** The description, and the position. */
export type Placed = readonly [described: unknown, read: number, written: number]

export function isPlaced(value: unknown): value is Placed {
  return Array.isArray(value) && value.length === 3 && Number.isFinite(value[1]) && Number.isFinite(value[2])
}

/** Why a runtime gives nothing into escrow any more, and wants nothing of it: it moves its sessions itself. */
export const ESCROW_OVER = 'the escrow is over'
