/**
 * A socket that is built before it may be used. Until it is settled it is to Node what a socket is that still connects:
 * reads, writes and end() wait for 'connect' (lib/net.js: _writeGeneric, _read and _final ask `connecting`). It has no handle
 * at first, as a connecting one has none, so that what Node needs to read it can be made when it is first used.
 */
import net from 'node:net'
import { silently } from './abandon.js'
import { typeOfServiceSet } from './options.js'
import { fieldsOf, type Handle, inside, symbolOf } from './private.js'

/** Who decides over a held socket. */
export interface Gate {
  /** From commit on. */
  readonly isLive: boolean
  readonly type: 'TCP' | 'Pipe'
  /** Asked before each use. From commit on the use itself wakes the socket: it is settled then. */
  isHeld(): boolean
  /** The app wants something done first thing after commit. */
  onWanted(): void
  /** The app has destroyed the socket while it was held. */
  onLeft(): void
  /** Must give the socket its handle, if it has none. */
  attach(): void
}

const kGate = Symbol('handover.gate')
const kConnecting = Symbol('handover.connecting')
const kReadBefore = Symbol('handover.bytesRead')
const kWrittenBefore = Symbol('handover.bytesWritten')

/** All instances have one shape; fields that each had of its own would make every later use of a socket slower. */
export class AdoptedSocket extends net.Socket {
  declare [kGate]: Gate | undefined
  declare [kConnecting]: boolean
  declare [kReadBefore]: number
  declare [kWrittenBefore]: number

  constructor(gate: Gate, allowHalfOpen: boolean) {
    // No options: net.Socket copies them with a spread, which takes Node 20 nine microseconds.
    super()
    this.allowHalfOpen = allowHalfOpen
    this[kReadBefore] = 0
    this[kWrittenBefore] = 0
    this[kGate] = gate
  }
}

const { prototype } = net.Socket
const handleOf = Object.getOwnPropertyDescriptor(prototype, '_handle')
const bufferSizeOf = Object.getOwnPropertyDescriptor(prototype, 'bufferSize')?.get
const counted = (name: 'bytesRead' | 'bytesWritten', before: typeof kReadBefore | typeof kWrittenBefore) => {
  const own = Object.getOwnPropertyDescriptor(prototype, name)?.get
  return {
    configurable: true,
    get(this: AdoptedSocket) {
      return (this[before] ?? 0) + ((own?.call(this) as number | undefined) ?? 0)
    },
  }
}

Object.defineProperties(AdoptedSocket.prototype, {
  /** To the app it is a net.Socket like any other. */
  constructor: { configurable: true, writable: true, value: net.Socket },
  connecting: {
    configurable: true,
    get(this: AdoptedSocket) {
      const gate = this[kGate]
      if (gate === undefined) return this[kConnecting]
      return gate.isHeld() || this[kConnecting]
    },
    set(this: AdoptedSocket, value: boolean) {
      // Only destroy() sets it here. It closes a handle, and says in 'close' whether there was an error; without one it does not.
      const gate = this[kGate]
      try {
        gate?.attach()
      } catch {
        // Its descriptor is none that Node can have; onLeft() closes it.
      }
      this[kGate] = undefined
      this[kConnecting] = value
      gate?.onLeft()
    },
  },
  /** The handle's own counts begin at 0 in each process. */
  bytesRead: counted('bytesRead', kReadBefore),
  bytesWritten: counted('bytesWritten', kWrittenBefore),
  /** The client is served elsewhere, and is not idle; whoever releases the socket arms the timer again. */
  _onTimeout: {
    configurable: true,
    writable: true,
    value(this: AdoptedSocket) {
      if (this[kGate] === undefined) inside(prototype)._onTimeout.call(this)
    },
  },
  /**
   * None before commit, even if it is there already: with one, setNoDelay() in restore would act on a connection another
   * process serves. From commit on whoever looks finds one.
   */
  _handle: {
    configurable: true,
    get(this: AdoptedSocket) {
      const gate = this[kGate]
      if (gate !== undefined) {
        if (!gate.isLive) return null
        gate.attach()
      }
      return handleOf?.get?.call(this)
    },
    set(this: AdoptedSocket, handle: unknown) {
      handleOf?.set?.call(this, handle)
    },
  },
  /** Without a handle Node would take the connection for closed already; with one that connects it waits. */
  resetAndDestroy: {
    configurable: true,
    writable: true,
    value(this: AdoptedSocket) {
      const gate = this[kGate]
      if (gate === undefined || gate.isLive) return prototype.resetAndDestroy.call(this)
      if (gate.type === 'Pipe') return withHandle(gate, this, () => prototype.resetAndDestroy.call(this))
      gate.onWanted()
      this.once('connect', () => prototype.resetAndDestroy.call(this))
      return this
    },
  },
  /** What it is to a socket with a handle. */
  bufferSize: {
    configurable: true,
    get(this: AdoptedSocket) {
      return this[kGate] === undefined ? bufferSizeOf?.call(this) : this.writableLength
    },
  },
})

/** Only the kernel knows. Reading it changes nothing, so it may be asked before commit. */
const asked = (name: '_getsockname' | 'getTypeOfService') => ({
  configurable: true,
  writable: true,
  value(this: AdoptedSocket) {
    const gate = this[kGate]
    const ask = () => (inside(prototype)[name] as () => unknown).call(this)
    return gate === undefined ? ask() : withHandle(gate, this, ask)
  },
})
Object.defineProperty(AdoptedSocket.prototype, '_getsockname', asked('_getsockname'))
if ('getTypeOfService' in prototype) {
  const { value: ask } = asked('getTypeOfService')
  Object.defineProperty(AdoptedSocket.prototype, 'getTypeOfService', {
    configurable: true,
    writable: true,
    value(this: AdoptedSocket) {
      return this[kGate] === undefined ? ask.call(this) : (typeOfServiceSet(this) ?? ask.call(this))
    },
  })
}

/** What release() does, too, must not come after these. */
for (const name of ['setTimeout', 'ref', 'unref'] as const) {
  Object.defineProperty(AdoptedSocket.prototype, name, {
    configurable: true,
    writable: true,
    value(this: AdoptedSocket, ...words: unknown[]) {
      if (this[kGate]?.isLive) this[kGate].isHeld()
      return (prototype[name] as (...words: unknown[]) => unknown).apply(this, words)
    },
  })
}

/** Runs with the handle in sight, which a held socket keeps hidden. */
function withHandle<R>(gate: Gate, socket: AdoptedSocket, run: () => R): R {
  gate.attach()
  socket[kGate] = undefined
  try {
    return run()
  } finally {
    socket[kGate] = gate
  }
}

export function countFrom(socket: AdoptedSocket, bytesRead: number, bytesWritten: number): void {
  socket[kReadBefore] = bytesRead
  socket[kWrittenBefore] = bytesWritten
}

/** The kernel no longer knows the peer of a reset connection, and while connecting Node does not ask. */
export function knowPeer(socket: net.Socket, peer: object): void {
  inside(socket)._peername = peer
}

/** What a handle of one kind is made of, learned from the first that Node made itself. */
interface Recipe {
  readonly make: () => Handle
  readonly onread: unknown
  readonly owner: symbol
  readonly asyncId: symbol
}
const recipes: { TCP?: Recipe; Pipe?: Recipe } = {}

export const isPipe = (socket: net.Socket): boolean => inside(socket)._handle?.constructor.name === 'Pipe'

/** Gives a socket without a handle one for this descriptor, which it owns from now on. Nothing is read or written. */
export function attach(socket: net.Socket, descriptor: number, type: 'TCP' | 'Pipe'): void {
  const recipe = recipes[type]
  if (recipe === undefined) {
    attachFirst(socket, descriptor)
    return
  }
  const handle = recipe.make()
  const errno = handle.open(descriptor)
  if (errno !== 0) throw new Error(`descriptor ${descriptor} cannot be opened: errno ${-errno}`)
  own(socket, handle, recipe)
}

function attachFirst(socket: net.Socket, descriptor: number): void {
  const donor = new net.Socket({ fd: descriptor, manualStart: true } as net.SocketConstructorOpts)
  const handle = inside(donor)._handle as Handle
  inside(donor)._handle = null
  const owner = symbolOf(handle, 'owner_symbol')
  const asyncId = symbolOf(donor, 'async_id_symbol')
  if (owner === undefined || asyncId === undefined) throw new Error('the handle of a socket has no owner on this Node')
  const Type = handle.constructor as new (type: number) => Handle
  const { name } = Type
  const SOCKET = 0
  const recipe = {
    make: () => new Type(SOCKET),
    onread: handle.onread,
    owner,
    asyncId,
  }
  if (name === 'TCP' || name === 'Pipe') recipes[name] = recipe
  own(socket, handle, recipe)
}

function own(socket: net.Socket, handle: Handle, { onread, owner, asyncId }: Recipe): void {
  fieldsOf(handle)[owner] = socket
  handle.onread = onread
  fieldsOf(socket)[asyncId] = handle.getAsyncId()
  inside(socket)._handle = handle
}

/** It is an ordinary socket from now on, which connects; timeouts fire. */
export function settle(socket: AdoptedSocket): void {
  socket[kGate] = undefined
  socket[kConnecting] = true
}

/** Lets a settled socket go: its first read and write happen after this. */
export function release(socket: net.Socket): void {
  inside(socket).connecting = false
  socket.emit('connect')
}

/** Marks the readable side as ended without an event: the app has had its 'end' in another process. */
export function endReadableSilently(socket: net.Socket): void {
  const state = inside(socket)._readableState
  state.ended = true
  state.endEmitted = true
}

/** The same of the writable side: the FIN is out, and the app has had its 'finish'. */
export function endWritableSilently(socket: net.Socket): void {
  const state = inside(socket)._writableState
  state.ending = true
  state.ended = true
  state.finished = true
}

/** Gives up a held socket without an event. A handle closes the descriptor itself; without one it stays the caller's: true then. */
export function dropHeld(socket: AdoptedSocket): boolean {
  socket[kGate] = undefined
  const hadHandle = inside(socket)._handle !== null
  silently(socket)
  return !hadHandle
}
