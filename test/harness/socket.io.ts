/** A supervised Socket.IO server and its clients: the library's own. */
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import { compiled, type Teardown } from './child.js'
import { READY, startSupervisor, type TestSupervisor } from './supervisor.js'
import { scaled, until, within } from './timeout.js'

export const SOCKET_IO_SERVER = compiled('test/fixtures/socket.io-server.js')

export interface Who {
  readonly pid: number
  readonly generation: number
  readonly clients: number
  readonly sockets: number
  readonly rooms: [string, number][]
  readonly own: string[]
  readonly data: Record<string, unknown>
  readonly handshake: {
    auth: Record<string, unknown>
    query: Record<string, unknown>
    headers: Record<string, unknown>
    time: string
  }
}

/** How a client connects: by a transport alone, or as it does by itself, from polling to a WebSocket. */
export const WAYS = ['websocket', 'polling', 'upgrade'] as const
export type Way = (typeof WAYS)[number]

export class Hall {
  readonly supervisor: TestSupervisor
  readonly port: number
  readonly #t: Teardown

  private constructor(t: Teardown, supervisor: TestSupervisor, port: number) {
    this.#t = t
    this.supervisor = supervisor
    this.port = port
  }

  static async start(
    t: Teardown,
    { args = [], options = [] }: { args?: readonly string[]; options?: readonly string[] } = {},
  ): Promise<Hall> {
    const supervisor = startSupervisor(t, { command: ['node', SOCKET_IO_SERVER, ...args], options })
    return new Hall(t, supervisor, Number((await supervisor.child.line(READY))[4]))
  }

  async enter(way: Way, namespace = '', more: Partial<ManagerOptions & SocketOptions> = {}): Promise<Guest> {
    const transports = way === 'upgrade' ? ['polling', 'websocket'] : [way]
    const socket = io(`http://127.0.0.1:${this.port}${namespace}`, {
      transports,
      forceNew: true,
      reconnection: false,
      ...more,
    })
    this.#t.teardown(() => socket.disconnect())
    const guest = new Guest(socket)
    await until(
      () => socket.connected && (way !== 'upgrade' || socket.io.engine.transport.name === 'websocket'),
      () => `a client by ${way} to connect: ${guest.ends.join(', ')}`,
    )
    return guest
  }

  /** An upgrade that is refused when all has been restored but one client. */
  async abortedUpgrade(): Promise<void> {
    const saboteur = await this.enter('websocket')
    await saboteur.ask('sabotage')
    const { json } = await this.supervisor.upgrade('--', 'node', SOCKET_IO_SERVER, '--refuse')
    if (json?.outcome !== 'refused')
      throw new Error(`the upgrade was ${json?.outcome}: ${JSON.stringify(json?.reasons)}`)
    saboteur.socket.disconnect()
  }

  /** What the servers have said of that. */
  said(pattern: RegExp): string[] {
    return this.supervisor.child.lines.filter((line) => pattern.test(line))
  }
}

export class Guest {
  readonly socket: Socket
  /** Every event, in order. */
  readonly heard: unknown[][] = []
  /** Why it was disconnected, or could not connect. */
  readonly ends: string[] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.onAny((...event) => void this.heard.push(event))
    socket.on('disconnect', (reason) => void this.ends.push(reason))
    socket.on('connect_error', (error) => void this.ends.push(error.message))
  }

  /** @returns the arguments of the acknowledgement. */
  ask<Answer extends unknown[]>(event: string, ...words: unknown[]): Promise<Answer> {
    const answer = new Promise<Answer>((resolve) => {
      this.socket.emit(event, ...words, (...args: Answer) => resolve(args))
    })
    return within(answer, () => `an answer to ${event}; ${this.ends.join(', ')}`)
  }

  async who(): Promise<Who> {
    const [who] = await this.ask<[Who]>('who')
    return who
  }

  /** Waits until it has heard so many events of that name. */
  async hears(event: string, times = 1): Promise<unknown[][]> {
    const all = () => this.heard.filter(([name]) => name === event)
    await until(
      () => all().length >= times,
      () => `${event} ${times} times: ${all().length} came, ${this.ends.join(', ')}`,
      scaled(20_000),
    )
    return all()
  }
}
