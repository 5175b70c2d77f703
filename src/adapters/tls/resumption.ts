/** What a TLS server resumes its clients' sessions by: the keys of its tickets, and the context they are good for. */
import type { SecureContextOptions, Server } from 'node:tls'
import type { StateDefinition } from '../../runtime/types.js'
import {
  areTicketKeysGiven,
  isContextGiven,
  sessionIdContextOf,
  setSessionIdContext,
} from '../../sys/node-internals.js'

/** Secret: whoever has the keys can read what was recorded of TLS 1.2 connections, and pass for a client's session. */
interface State {
  readonly ticketKeys: Uint8Array
  /** Null where this Node does not show it. */
  readonly sessionIdContext: string | null
}

/** Of the keys together: name, HMAC and AES, 16 bytes each. */
const KEYS_BYTES = 48
/** SSL_MAX_SID_CTX_LENGTH */
const MAX_CONTEXT = 32

type Renewal = SecureContextOptions & { readonly ticketKeys?: Buffer; readonly sessionIdContext?: string }

export class Resumption {
  readonly #server: Server
  /** Decided by the app: not to be taken over from another release. */
  #areKeysGiven: boolean
  #isContextGiven: boolean

  constructor(server: Server) {
    this.#server = server
    this.#areKeysGiven = areTicketKeysGiven(server)
    this.#isContextGiven = isContextGiven(server)
    this.#keepOverRenewals()
  }

  readonly definition: StateDefinition<State> = {
    version: 1,
    capture: () => ({
      ticketKeys: this.#server.getTicketKeys(),
      sessionIdContext: sessionIdContextOf(this.#server) ?? null,
    }),
    restore: (state) => this.#restore(state),
  }

  #restore({ ticketKeys, sessionIdContext }: State): void {
    if (!(ticketKeys instanceof Uint8Array) || ticketKeys.length !== KEYS_BYTES)
      throw new Error(`ticketKeys must be ${KEYS_BYTES} bytes`)
    if (
      sessionIdContext !== null &&
      (typeof sessionIdContext !== 'string' || Buffer.byteLength(sessionIdContext) > MAX_CONTEXT)
    )
      throw new Error(`sessionIdContext must be null, or at most ${MAX_CONTEXT} bytes`)
    if (!this.#areKeysGiven) this.#setTicketKeys(Buffer.from(ticketKeys))
    if (!this.#isContextGiven && sessionIdContext !== null) setSessionIdContext(this.#server, sessionIdContext)
  }

  #setTicketKeys: (keys: Buffer) => void = () => undefined

  /**
   * A new certificate means a new secure context, which would begin with keys of its own and the context of this process'
   * arguments. Contexts by server name need nothing: OpenSSL asks the server's own for both.
   */
  #keepOverRenewals(): void {
    const server = this.#server
    const setTicketKeys = server.setTicketKeys.bind(server)
    const setSecureContext = server.setSecureContext.bind(server)
    this.#setTicketKeys = setTicketKeys
    server.setTicketKeys = (keys) => {
      setTicketKeys(keys)
      this.#areKeysGiven = true
    }
    server.setSecureContext = (options: Renewal) => {
      const keys = server.getTicketKeys()
      const context = sessionIdContextOf(server)
      setSecureContext(options)
      if (options.ticketKeys) this.#areKeysGiven = true
      else if (!areTicketKeysGiven(server)) setTicketKeys(keys)
      if (options.sessionIdContext) this.#isContextGiven = true
      else if (context !== undefined) setSessionIdContext(server, context)
    }
  }
}
