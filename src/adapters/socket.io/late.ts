/**
 * Requests of polling clients that still come to a predecessor: one that was under way at the freeze, or the next one on a
 * connection that has not moved. A poll is answered with nothing, so that the client asks again and finds the successor; what a
 * client has sent goes across, and is acknowledged when it is there.
 */
import type { ServerResponse } from 'node:http'
import { headOf } from '../../runtime/websocket/request.js'
import type { Crossing } from './crossing.js'
import type { EngineRequest, EngineServer, EngineSocket, Library, Transport } from './internals.js'
import type { Message } from './stream.js'

export class Late {
  readonly #engine: EngineServer
  readonly #crossing: Crossing
  readonly #onProbe: (sid: string, transport: Transport) => void

  /** @param onProbe a client that has moved tries a WebSocket here. */
  constructor({ engine }: Library, crossing: Crossing, onProbe: (sid: string, transport: Transport) => void) {
    this.#engine = engine
    this.#crossing = crossing
    this.#onProbe = onProbe
    engine.handshake = (name, request, refuse) => this.#handshake(name, request, refuse)
  }

  /** The client has moved; its transport here has no listeners any more. */
  add(conn: EngineSocket): void {
    const { id, protocol, transport } = conn
    transport.onData = (payload) => this.#forward(id, transport, payload)
    if (transport.writable) {
      transport.res?.setHeader('Connection', 'close')
      transport.send([{ type: 'noop' }])
    }
    const stub = {
      id,
      protocol,
      upgrading: false,
      upgraded: false,
      transport: { name: 'polling', onRequest: (request: EngineRequest) => answerNext(transport, request) },
      _maybeUpgrade: (probe: Transport) => this.#onProbe(id, probe),
      close: () => undefined,
    }
    // Found by who asks for it, and not one of those that are counted.
    Object.defineProperty(this.#engine.clients, id, { configurable: true, value: stub })
  }

  /** Holds the acknowledgement of a request back until the packets it brought are where they belong. */
  #forward(sid: string, transport: Transport, payload: unknown): void {
    const response = transport.dataRes as ServerResponse
    const end = response.end.bind(response)
    let isEnded = false
    response.end = () => {
      isEnded = true
      return response
    }
    const question = this.#crossing.ask(
      { t: 'payload', sid, payload },
      () => {
        this.#crossing.forget(question)
        if (isEnded) end('ok')
      },
      () => response.destroy(),
    )
  }

  /** A new client: it would not find this process again. */
  async #handshake(name: string, request: EngineRequest, refuse: (code: number) => void): Promise<unknown> {
    if (name !== 'polling') {
      const own = Object.getPrototypeOf(this.#engine) as EngineServer
      return own.handshake.call(this.#engine, name, request, refuse)
    }
    const response = request.res as ServerResponse
    response.setHeader('Connection', 'close')
    const address = request.socket.remoteAddress ?? ''
    const question = this.#crossing.ask(
      { t: 'handshake', request: { ...headOf(request), rawHeaders: [...request.rawHeaders] }, address },
      ({ status, headers, body }) => {
        this.#crossing.forget(question)
        response.writeHead(status as number, headers as Record<string, string>)
        response.end(typeof body === 'string' ? body : Buffer.from(body as Uint8Array))
      },
      () => response.destroy(),
    )
    return undefined
  }
}

function answerNext(transport: Transport, request: EngineRequest): void {
  // Else the client would ask here again, where nothing comes any more.
  request.res?.setHeader('Connection', 'close')
  transport.onRequest(request)
  if (transport.writable) transport.send([{ type: 'noop' }])
}

/** What a response is to Engine.IO, told to another process. */
export class FarResponse {
  readonly #headers: Record<string, unknown> = {}
  readonly #answer: (message: Message) => void
  #status = 200

  constructor(answer: (message: Message) => void) {
    this.#answer = answer
  }

  setHeader(name: string, value: unknown): void {
    this.#headers[name] = value
  }

  writeHead(status: number, headers: Record<string, unknown> = {}): this {
    this.#status = status
    Object.assign(this.#headers, headers)
    return this
  }

  end(body: unknown = ''): this {
    this.#answer({ t: 'answer', status: this.#status, headers: this.#headers, body })
    return this
  }

  on(): this {
    return this
  }

  once(): this {
    return this
  }
}
