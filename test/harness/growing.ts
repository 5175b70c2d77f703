/** Bytes as they come, in one piece: appended in place, where Buffer.concat would copy all that is there for each chunk. */
export class Growing {
  #room: Buffer = Buffer.allocUnsafe(1024)
  #length = 0

  /** What has been appended so far. Stays as it is when more is. */
  get bytes(): Buffer {
    return this.#room.subarray(0, this.#length)
  }

  append(bytes: Buffer): void {
    const length = this.#length + bytes.length
    if (length > this.#room.length) {
      const larger = Buffer.allocUnsafe(2 * length)
      this.bytes.copy(larger)
      this.#room = larger
    }
    bytes.copy(this.#room, this.#length)
    this.#length = length
  }
}
