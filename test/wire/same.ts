/** Whether a value arrived as it was sent: structure, order, types, and which things are one and the same. */

class Pairs {
  readonly gotFor = new Map<object, object>()
  readonly sentFor = new Map<object, object>()
}

/** Where two values differ, or undefined. What the envelope documents as changed is taken as equal: -0, lone surrogates, holes. */
export function difference(sent: unknown, got: unknown, path = 'state', pairs = new Pairs()): string | undefined {
  if (typeof sent === 'string') return wellFormed(sent) === got ? undefined : path
  if (typeof sent === 'number' && sent === 0) return got === 0 ? undefined : path
  if (typeof sent !== 'object' || sent === null) return Object.is(sent, got) ? undefined : path
  if (typeof got !== 'object' || got === null) return path
  const known = pairs.gotFor.get(sent)
  if (known !== undefined) return known === got ? undefined : `${path}: what was one thing is two`
  if (pairs.sentFor.has(got)) return `${path}: what was two things is one`
  pairs.gotFor.set(sent, got)
  pairs.sentFor.set(got, sent)
  const prototype = Object.getPrototypeOf(sent) ?? Object.prototype
  if (Object.getPrototypeOf(got) !== prototype) return `${path}: another type`
  if (sent instanceof Date) return Object.is(sent.getTime(), (got as Date).getTime()) ? undefined : path
  if (sent instanceof RegExp) return String(sent) === String(got) ? undefined : path
  if (ArrayBuffer.isView(sent)) return bytesOf(sent).equals(bytesOf(got as ArrayBufferView)) ? undefined : path
  const [ours, theirs] = [partsOf(sent), partsOf(got)]
  if (ours.length !== theirs.length) return `${path}: ${theirs.length} parts where ${ours.length} were`
  for (const [index, [name, part]] of ours.entries()) {
    const [otherName, other] = theirs[index]!
    if (name !== otherName) return `${path}: ${otherName} where ${name} was`
    const inner = difference(part, other, `${path}.${name}`, pairs)
    if (inner !== undefined) return inner
  }
  return undefined
}

const wellFormed = (text: string): string => Buffer.from(text).toString()

function partsOf(value: object): [string, unknown][] {
  if (value instanceof Map)
    return [...value].flatMap(([key, inner], index) => [
      [`key ${index}`, key],
      [`value ${index}`, inner],
    ])
  if (value instanceof Set) return [...value].map((inner, index) => [`member ${index}`, inner])
  if (Array.isArray(value)) return Array.from(value, (inner, index) => [String(index), inner])
  return Object.entries(value)
}

const bytesOf = (view: ArrayBufferView): Buffer => Buffer.from(view.buffer, view.byteOffset, view.byteLength)
