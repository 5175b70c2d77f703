/** Sizes of memory as people write them. */
import { HandoverError } from '../errors.js'

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 }

/** "512M", "1.5G" or plain bytes; the units are powers of 1024. @throws HandoverError HANDOVER_USAGE */
export function parseSize(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)$/.exec(text.toUpperCase()) ?? []
  const bytes = Math.floor(Number(number) * (UNITS[unit] as number))
  if (number === '' || bytes < 1 || !Number.isSafeInteger(bytes)) {
    throw new HandoverError('HANDOVER_USAGE', `${JSON.stringify(text)} is not a size, such as 1G, 512M or 1073741824`)
  }
  return bytes
}
