/** `--listen NAME=[HOST:]PORT`. */
import { HandoverError } from '../errors.js'
import type { ListenOption } from '../supervisor/index.js'

/** "http=8080", "http=127.0.0.1:8080", "http=[::1]:8080", "http=localhost:8080". @throws HandoverError HANDOVER_USAGE */
export function parseListen(text: string): ListenOption {
  const [, name, host, digits] = /^([^=]+)=(?:(\[[^\]]+\]|[^:[\]]+):)?(\d{1,5})$/.exec(text) ?? []
  if (name === undefined || digits === undefined || Number(digits) > 65535)
    throw new HandoverError(
      'HANDOVER_USAGE',
      `--listen ${JSON.stringify(text)} must be NAME=PORT or NAME=HOST:PORT, such as http=8080 or http=[::1]:8080`,
    )
  return { name, port: Number(digits), ...(host === undefined ? {} : { host: host.replace(/^\[(.*)\]$/, '$1') }) }
}
