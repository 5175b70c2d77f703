/** What the clients say: text that follows from who says it and how often, so that every receiver can know every byte. */

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789 .,-ABCDEFGHIJKLMNOPQRSTUVWX'

/** Finalizer of MurmurHash3: every bit of the input changes half of the output's. */
function mix(value: number): number {
  let hash = value >>> 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The line a client says as its `sequence`th, from 1: its number and 20 to 83 keyed characters. */
export function lineOf(client: number, sequence: number): string {
  const key = mix(mix(client + 1) ^ sequence)
  let text = `${sequence} `
  for (let index = 0; index < 20 + (key & 63); index += 4) {
    const word = mix(key + index)
    text +=
      LETTERS[word & 63]! + LETTERS[(word >>> 6) & 63]! + LETTERS[(word >>> 12) & 63]! + LETTERS[(word >>> 18) & 63]!
  }
  return text
}

export const nickOf = (client: number): string => `c${client}`

/** What the others in the room receive of it, without the newline. */
export const broadcastOf = (client: number, sequence: number): string =>
  `<${nickOf(client)}> ${lineOf(client, sequence)}`
