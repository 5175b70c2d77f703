/** Sits on a channel: passes packets with their descriptors from one end to the other, in order, through a gate. */
import { binding } from '../../src/sys/binding.js'
import { Channel, closeAll } from '../../src/sys/channel.js'
import type { Packet } from './packet.js'

/** Called with each packet before it goes on; `pass` sends it, or what it was made into. */
export type Gate<Name extends string> = (from: Name, packet: Packet, pass: (packet: Packet) => void) => Promise<void>

export class Relay<Name extends string> {
  readonly names: readonly [Name, Name]
  readonly #channels: Record<Name, Channel>
  readonly #ended = new Set<Name>()
  /** What those who are silent have said meanwhile. The descriptors are duplicates. */
  readonly #held = new Map<Name, Packet[]>()
  readonly #gate: Gate<Name>
  readonly #onError: (error: unknown) => void
  /** One row for both directions: what happens to a packet is over before the next one is looked at. */
  #row: Promise<void> = Promise.resolve()

  /** Takes over both descriptors, each the end towards the one it is named after. */
  constructor(ends: readonly [[Name, number], [Name, number]], gate: Gate<Name>, onError: (error: unknown) => void) {
    this.names = [ends[0][0], ends[1][0]]
    this.#channels = Object.fromEntries(ends.map(([name, fd]) => [name, new Channel(fd)])) as Record<Name, Channel>
    this.#gate = gate
    this.#onError = onError
    for (const name of this.names) {
      this.#channels[name].start({
        onPacket: (packet) => this.#then(() => this.#pass(name, packet)),
        onEnd: () => {
          this.#ended.add(name)
          this.#then(async () => this.close(this.#other(name)))
        },
      })
    }
  }

  /** True when that end was closed by whoever holds it. */
  hasEnded(name: Name): boolean {
    return this.#ended.has(name)
  }

  /** Closes the end towards `name`; the other end stays open and hears nothing more. */
  close(name: Name): void {
    this.#channels[name].close()
  }

  /** Nothing that `name` sends goes on, until `speak`. */
  silence(name: Name): void {
    this.#held.set(name, [])
  }

  /** What was held back comes late, but in order. */
  speak(): void {
    for (const [name, packets] of this.#held) {
      for (const packet of packets) {
        this.forge(name, packet)
        closeAll(packet.descriptors)
      }
    }
    this.#held.clear()
  }

  /** Sends a packet that `from` has not sent. The descriptors stay the caller's. */
  forge(from: Name, packet: Packet): void {
    this.#channels[this.#other(from)].send(packet.bytes, packet.descriptors)
  }

  async dispose(): Promise<void> {
    await this.#row
    for (const packets of this.#held.values()) for (const { descriptors } of packets) closeAll(descriptors)
    this.#held.clear()
    for (const name of this.names) this.close(name)
  }

  #other(name: Name): Name {
    return this.names[0] === name ? this.names[1] : this.names[0]
  }

  #then(act: () => Promise<void>): void {
    this.#row = this.#row.then(act).catch(this.#onError)
  }

  async #pass(from: Name, packet: { bytes: Buffer; descriptors: number[] }): Promise<void> {
    try {
      await this.#gate(from, packet, (passed) => {
        const held = this.#held.get(from)
        if (held === undefined) this.forge(from, passed)
        else held.push({ bytes: passed.bytes, descriptors: passed.descriptors.map((fd) => binding().duplicate(fd)) })
      })
    } finally {
      closeAll(packet.descriptors)
    }
  }
}

/** A descriptor that belongs to nothing. The caller owns it. */
export const spareDescriptor = (): number => binding().memfd('spare')
