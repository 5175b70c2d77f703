/** Connections whose both ends do what the test says: the client's here, the server's in test/fixtures/puppet-server.ts. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import type { Puppeted, Tools, Trick } from '../fixtures/puppet-server.js'
import { compiled, type Teardown } from './child.js'
import { Growing } from './growing.js'
import { type CommandResult, READY, startSupervisor, type TestSupervisor } from './supervisor.js'
import { until, within } from './timeout.js'

export const PUPPET_SERVER = compiled('test/fixtures/puppet-server.js')

export interface StageOptions {
  /** The Node of the first generation. */
  readonly node?: string
  /** Options of `handover run`. */
  readonly options?: readonly string[]
  /** Arguments of the puppet server. */
  readonly args?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** The Node of the supervisor. */
  readonly supervisorNode?: string
}

/** A supervised puppet server. */
export class Stage {
  readonly supervisor: TestSupervisor
  readonly port: number
  /** Of the unix listener. */
  readonly path: string | undefined
  /** Of the UDP socket. */
  readonly udpPort: number
  readonly #control: number
  #unixCount = 0
  #saboteur: Puppet | undefined

  private constructor(supervisor: TestSupervisor, path: string | undefined, ports: readonly number[]) {
    this.supervisor = supervisor
    this.path = path
    const [port, control, udp] = ports as [number, number, number]
    this.port = port
    this.#control = control
    this.udpPort = udp
  }

  static async start(t: Teardown, stage: StageOptions = {}): Promise<Stage> {
    const { node, options = [], args = [], env = {}, supervisorNode } = stage
    const own = node === undefined ? [] : ['--node', node]
    const command = ['node', PUPPET_SERVER, ...args]
    const supervisor = startSupervisor(t, {
      command,
      env,
      options: [...own, ...options],
      ...(supervisorNode === undefined ? {} : { node: supervisorNode }),
    })
    const ready = new RegExp(`${READY.source} control=(\\d+) udp=(\\S+)`)
    const [, , , , ...ports] = await supervisor.child.line(ready)
    const path = args[args.indexOf('--path') + 1]
    return new Stage(supervisor, args.includes('--path') ? path : undefined, ports.map(Number))
  }

  /** A connection to the stage: over the unix listener if there is one, else, or if that is asked for, over TCP. */
  connect(over?: 'tcp'): { client: Socket; label?: string } {
    const options = { allowHalfOpen: true }
    if (this.path === undefined || over === 'tcp')
      return { client: connect({ port: this.port, host: '127.0.0.1', noDelay: true, ...options }) }
    // connect(2) to a path is called at once, and they are accepted in that order.
    return { client: connect({ path: this.path, ...options }), label: `unix-${++this.#unixCount}` }
  }

  /** After a crash: the process that serves now begins to count from here. */
  renumber(): Promise<void> {
    return this.run(({ renumber }, count) => renumber(count), this.#unixCount)
  }

  /** Runs a function in the generation that serves; it sees nothing of the test but `arg`. */
  async run<R, A = undefined>(trick: (tools: Tools, arg: A) => R, arg?: A): Promise<R> {
    return (await this.ask(null, `(socket, session, tools, arg) => (${trick})(tools, arg)`, arg)) as R
  }

  async ask(label: string | null, source: string, arg: unknown): Promise<unknown> {
    const socket = connect({ port: this.#control, host: '127.0.0.1' })
    socket.setEncoding('utf8').end(JSON.stringify({ label, source, arg }))
    let said = ''
    socket.on('data', (text) => (said += String(text)))
    await within(once(socket, 'close'), `an answer of the puppet server to ${source}`)
    const { value, error } = JSON.parse(said) as { value?: unknown; error?: string }
    if (error !== undefined) throw new Error(error)
    return value
  }

  /** A connection that is no session: its process drains for as long as it is open. */
  async unregistered(): Promise<Socket> {
    const socket = connect({ port: this.#control, host: '127.0.0.1' })
    await within(once(socket, 'connect'), 'an unregistered connection')
    // Connections are accepted in order: when a later one has been answered, this one has been accepted.
    await this.run(() => undefined)
    return socket
  }

  /** Opens the session that refuses in `abortedUpgrade`. */
  async admitSaboteur(): Promise<Puppet> {
    this.#saboteur ??= await Puppet.open(this)
    return this.#saboteur
  }

  /** An upgrade in which everything is restored, and then the last session refuses. */
  async abortedUpgrade(...args: string[]): Promise<CommandResult<UpgradeResult>> {
    const saboteur = await this.admitSaboteur()
    await saboteur.onRestore(() => {
      throw new Error('sabotage')
    })
    const result = await this.supervisor.upgrade(...args)
    await saboteur.onRestore(() => undefined)
    return result
  }
}

/** One connection. */
export class Puppet {
  readonly client: Socket
  readonly label: string
  /** The server's FIN has come. */
  ended = false
  /** The code of the client's error, if there was one. */
  error: string | undefined
  readonly #stage: Stage
  readonly #received = new Growing()

  private constructor(stage: Stage, client: Socket, label: string) {
    this.#stage = stage
    this.client = client
    this.label = label
    client.on('data', (bytes: Buffer) => this.#received.append(bytes))
    client.on('end', () => (this.ended = true))
    client.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code))
  }

  get received(): Buffer {
    return this.#received.bytes
  }

  /** @param paused the client reads nothing until `resume`. */
  static async open(stage: Stage, { paused = false, over }: { paused?: boolean; over?: 'tcp' } = {}): Promise<Puppet> {
    const { client, label } = stage.connect(over)
    if (paused) client.pause()
    await within(once(client, 'connect'), `a connection to port ${stage.port} or ${stage.path}`)
    if (label === undefined) await until(() => client.localPort !== undefined, 'the port of the client')
    const puppet = new Puppet(stage, client, label ?? String(client.localPort))
    // The server has it as a session.
    await puppet.sees(() => true)
    return puppet
  }

  /** Runs a function on the server's end; it sees nothing of the test but `arg`. */
  async serve<R, A = undefined>(trick: Trick<R, A>, arg?: A): Promise<R> {
    return (await this.#stage.ask(this.label, trick.toString(), arg)) as R
  }

  /** What runs on the server's end in each `restore` from now on. */
  async onRestore<A = undefined>(trick: Trick<unknown, A>, arg?: A): Promise<void> {
    const set: Trick<void, { source: string; arg: unknown }> = (_socket, session, _tools, said) => {
      session.onRestore = said.source
      session.arg = said.arg ?? null
    }
    await this.serve(set, { source: trick.toString(), arg: arg ?? null })
  }

  /** What runs on the server's end in each `update`: there is one in each transfer with pre-copy, at the freeze. */
  async onUpdate(trick: Trick): Promise<void> {
    const set: Trick<void, string> = (socket, session, { puppets }, source) => {
      session.onUpdate = source
      // From now on it differs at each look; this makes sure that somebody looks.
      puppets.touch(socket)
    }
    await this.serve(set, trick.toString())
  }

  /** Waits until a fact is seen on the server's end. */
  async sees<A = undefined>(fact: Trick<boolean, A>, arg?: A): Promise<void> {
    const look = async (): Promise<void> => {
      for (;;) {
        const seen = await this.serve(fact, arg).catch((error: Error) => {
          if (!error.message.includes('has no session')) throw error
          return false
        })
        if (seen || stopped) return
      }
    }
    let stopped = false
    const looking = look()
    await within(looking, `the server to see ${fact} on connection ${this.label}`).finally(() => (stopped = true))
  }

  session(): Promise<Puppeted & { bytes: { data: number[] } }> {
    return this.serve((_socket, session) => session as Puppeted & { bytes: { data: number[] } })
  }

  /** What the server's end has received, as latin1 text. */
  heard(): Promise<string> {
    return this.serve((_socket, session) => session.bytes.toString('latin1'))
  }

  send(data: string | Buffer): void {
    this.client.write(data)
  }

  /** Waits until the client has got so many bytes. */
  async gets(length: number): Promise<void> {
    await until(
      () => this.received.length >= length,
      () => `${length} bytes at client ${this.label}: ${this.received.length} came, error ${this.error}`,
    )
  }

  async isEnded(): Promise<void> {
    await until(
      () => this.ended,
      () => `the end at client ${this.label}: ${this.received.length} bytes came, error ${this.error}`,
    )
  }
}
