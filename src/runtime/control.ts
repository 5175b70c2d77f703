/** The runtime's end of the channel to its supervisor: requests with answers, and what the supervisor says of itself. */
import { HandoverError } from '../errors.js'
import { binding } from '../sys/binding.js'
import { Link } from '../sys/link.js'
import { CONTROL, type ControlMessage, type Fields, PROTOCOL_RANGE } from '../wire/messages.js'
import { Rejoin } from './rejoin.js'
import { Standing } from './standing.js'

/** The supervisor says on which descriptor the channel is. */
export const CHANNEL_VARIABLE = 'HANDOVER_CHANNEL'

export type Told = Extract<
  ControlMessage,
  { kind: 'activate' | 'transfer' | 'retire' | 'ask' | 'group' | 'freeze' | 'give' | 'pack' | 'unpack' }
>

export class Control {
  #link: Link<typeof CONTROL>
  readonly #release: string
  readonly #rejoin: Rejoin | undefined
  /** Nobody hears what is said before the welcome of a new supervisor: how things stand says it all. */
  #isHeard = true
  #isRef = true
  readonly #standing = new Standing()
  readonly #listens = new Map<number, (answer: number | HandoverError, type?: string) => void>()
  #nextRequest = 1
  #welcomed: ((welcome: Fields<typeof CONTROL, 'welcome'> | HandoverError) => void) | undefined
  #onTold: (message: Told) => void = () => undefined
  #onTruncated: () => void = () => undefined
  #onLost: (error: HandoverError | undefined) => void = () => undefined

  private constructor(descriptor: number, release: string, rejoin: Rejoin | undefined) {
    this.#link = new Link(descriptor, CONTROL, 'supervisor')
    this.#release = release
    this.#rejoin = rejoin
  }

  /**
   * Says hello on the inherited channel.
   * @param rejoin the socket on which the supervisor after this one comes; it is taken over, too.
   */
  static async connect(
    descriptor: number,
    release: string,
    rejoin?: number,
  ): Promise<{ control: Control; welcome: Fields<typeof CONTROL, 'welcome'> }> {
    // Programs this one starts must not hold the channel: its end of file tells the supervisor that this process is gone.
    binding().setCloseOnExec(descriptor, true)
    const later = rejoin === undefined ? undefined : new Rejoin(rejoin, descriptor)
    const control = new Control(descriptor, release, later)
    const welcome = await new Promise<Fields<typeof CONTROL, 'welcome'>>((resolve, reject) => {
      control.#welcomed = (answer) => (answer instanceof HandoverError ? reject(answer) : resolve(answer))
      control.#greet()
    })
    return { control, welcome }
  }

  /** Who hears what the supervisor says from now on. `onTruncated`: it said `transfer`, and there was no room for it. */
  handle(
    onTold: (message: Told) => void,
    onTruncated: () => void,
    onLost: (error: HandoverError | undefined) => void,
  ): void {
    this.#onTold = onTold
    this.#onTruncated = onTruncated
    this.#onLost = onLost
  }

  send: Link<typeof CONTROL>['send'] = (kind, fields, descriptors) => {
    this.#standing.say(kind, fields)
    if (this.#isHeard) this.#link.send(kind, fields, descriptors)
  }

  /** Asks for the listening socket of that name. The caller owns the descriptor. */
  async listen(fields: Fields<typeof CONTROL, 'kept'>): Promise<number> {
    const request = this.#nextRequest++
    const descriptor = await this.#ask(request, fields)
    this.#standing.given(fields, descriptor)
    return descriptor
  }

  async #ask(request: number, fields: Fields<typeof CONTROL, 'kept'>): Promise<number> {
    const answer = await new Promise<number | HandoverError>((resolve) => {
      this.#listens.set(request, (answer, type) => {
        if (typeof answer !== 'number' || type === fields.type) return resolve(answer)
        // It does not know this field yet, and has made a TCP listener.
        binding().close(answer)
        resolve(
          new HandoverError(
            'HANDOVER_LISTEN_REFUSED',
            `listener "${fields.name}": the supervisor is of an older version, which keeps TCP listeners only: stop it and start it anew`,
          ),
        )
      })
      this.#link.send('listen', { request, ...fields })
    })
    if (answer instanceof HandoverError) throw answer
    return answer
  }

  /** From now on the channel alone does not keep the process alive. */
  unref(): void {
    this.#isRef = false
    this.#link.unref()
  }

  #greet(): void {
    this.#link.start({
      onMessage: (message) => this.#onMessage(message),
      onTruncated: () => this.#truncated(),
      onEnd: (error) => this.#lose(error),
    })
    if (!this.#isRef) this.#link.unref()
    const { pid, versions } = process
    const can = { groups: true, retires: true, escrows: true }
    this.#link.send('hello', { protocol: PROTOCOL_RANGE, pid, node: versions.node, release: this.#release, ...can })
  }

  /** A supervisor that has not been there is to know what the one before it knew. */
  #onWelcome(welcome: Fields<typeof CONTROL, 'welcome'>): void {
    if (this.#isHeard) {
      this.#standing.welcomed(welcome.generation)
      this.#welcomed?.(welcome)
      return
    }
    this.#isHeard = true
    for (const { fields, descriptor } of this.#standing.kept()) this.#link.send('kept', fields, [descriptor])
    this.#link.send('rejoined', this.#standing.rejoined)
  }

  #onMessage(message: ControlMessage): void {
    switch (message.kind) {
      case 'welcome':
        this.#onWelcome(message.fields)
        return
      case 'listening':
        this.#answer(message.fields.request, message.descriptors[0] as number, message.fields.type)
        return
      case 'unavailable':
        this.#answer(message.fields.request, new HandoverError('HANDOVER_LISTEN_REFUSED', message.fields.reason))
        return
      case 'transfer':
        // Into escrow it never ends.
        if (message.fields.escrowMs === undefined) this.#standing.transfers()
        this.#onTold(message)
        return
      case 'activate':
      case 'retire':
      case 'ask':
      case 'group':
      case 'freeze':
      case 'give':
      case 'pack':
      case 'unpack':
        this.#onTold(message)
        return
    }
  }

  #answer(request: number, answer: number | HandoverError, type?: string): void {
    const resolve = this.#listens.get(request)
    this.#listens.delete(request)
    if (resolve !== undefined) resolve(answer, type)
    else if (typeof answer === 'number') binding().close(answer)
  }

  /** A descriptor that was asked for, or a transfer, did not fit into this process. */
  #truncated(): void {
    if (this.#listens.size === 0) this.#onTruncated()
    for (const request of [...this.#listens.keys()])
      this.#answer(
        request,
        new HandoverError(
          'HANDOVER_LISTEN_REFUSED',
          'the listening socket does not fit into this process: it is at its limit of descriptors (RLIMIT_NOFILE)',
        ),
      )
  }

  #lose(error: HandoverError | undefined): void {
    const lost = error ?? new HandoverError('HANDOVER_CHANNEL_CLOSED', 'the supervisor closed its channel')
    this.#welcomed?.(lost)
    for (const request of [...this.#listens.keys()]) this.#answerLost(request, lost)
    const wasHeard = this.#isHeard
    this.#isHeard = false
    this.#rejoin?.wait((descriptor) => {
      this.#link = new Link(descriptor, CONTROL, 'supervisor')
      this.#greet()
    })
    if (wasHeard) this.#onLost(error)
  }

  #answerLost(request: number, lost: HandoverError): void {
    this.#listens.get(request)?.(lost)
    this.#listens.delete(request)
  }
}
