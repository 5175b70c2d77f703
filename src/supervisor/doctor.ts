/** What a supervisor needs of the machine, looked at by using it. */
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { dirname } from 'node:path'
import { HandoverError, messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { memoryBounds } from '../sys/memory.js'
import { processRow } from '../sys/process-tree.js'
import { checkDirectory } from './directory.js'

export interface Finding {
  /** What was looked at, in a word or two. */
  readonly what: string
  /** 'bad': handover does not work so. 'warning': it does, with a limit. */
  readonly verdict: 'ok' | 'warning' | 'bad'
  readonly found: string
  /** What to do; where there is something. */
  readonly next?: string
}

type Look = Omit<Finding, 'what'>

const ok = (found: string): Look => ({ verdict: 'ok', found })

/** Looks at everything, and at the runtime directory of that admin socket. Makes nothing, changes nothing. */
export async function examine(adminSocket: string): Promise<Finding[]> {
  const looks: Record<string, () => Look | Promise<Look>> = {
    Node: lookAtNode,
    addon: lookAtAddon,
    kernel: lookAtKernel,
    '/proc': lookAtProc,
    descriptors: lookAtDescriptors,
    backlog: lookAtBacklog,
    memory: lookAtMemory,
    directory: () => lookAtDirectory(adminSocket),
  }
  const found = Object.entries(looks).map(async ([what, look]): Promise<Finding> => {
    try {
      return { what, ...(await look()) }
    } catch (error) {
      return { what, verdict: 'bad', found: messageOf(error) }
    }
  })
  return Promise.all(found)
}

/** `engines` of package.json, where it is not the newest of everything. */
function lookAtNode(): Look {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const isSupported = major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19)
  if (isSupported) return ok(process.versions.node)
  return {
    verdict: 'bad',
    found: `${process.versions.node} is not supported`,
    next: 'Use Node 20.19, 22.12 or newer.',
  }
}

function lookAtAddon(): Look {
  if (process.platform !== 'linux')
    return {
      verdict: 'bad',
      found: `${process.platform}: nothing can be handed over here`,
      next: 'Use Linux. Elsewhere a server runs without it.',
    }
  binding()
  return ok(`${process.platform} ${process.arch}`)
}

/** By doing it: a seccomp filter or an old kernel refuses one call or another. */
function lookAtKernel(): Look {
  const b = binding()
  const open: number[] = []
  const keep = (fd: number): number => {
    open.push(fd)
    return fd
  }
  try {
    b.pidfdSignal(keep(b.pidfdOpen(process.pid)), 0)
    const memory = keep(b.memfd('handover doctor'))
    b.seal(memory)
    const [left, right] = b.socketpair().map(keep) as [number, number]
    b.send(left, new Uint8Array(1), [memory])
    for (const fd of b.receive(right, new Uint8Array(1))?.descriptors ?? []) keep(fd)
    keep(b.epollSet())
    return ok(`${release()}: pidfd, sealed memfd, SCM_RIGHTS, epoll`)
  } catch (error) {
    return {
      verdict: 'bad',
      found: `${release()}: ${messageOf(error)}`,
      next: 'Use Linux 5.9 or newer, and allow this call (seccomp, container).',
    }
  } finally {
    for (const fd of open) b.close(fd)
  }
}

function lookAtProc(): Look {
  processRow(process.pid)
  return ok('readable')
}

/** Most connections of one process must fit beside as many in its successor's table, and its own files. */
const FEW_DESCRIPTORS = 4_096

function lookAtDescriptors(): Look {
  const { soft, hard } = binding().descriptorLimit()
  const found = `${soft} (at most ${hard}) for each process`
  if (hard >= FEW_DESCRIPTORS) return ok(found)
  return {
    verdict: 'warning',
    found,
    next: `More than ${hard} connections cannot be open: raise it (ulimit -n, LimitNOFILE=).`,
  }
}

/** Node's own default of listen(). */
const NODE_BACKLOG = 511

function lookAtBacklog(): Look {
  const most = Number(readFileSync('/proc/sys/net/core/somaxconn', 'latin1'))
  if (most >= NODE_BACKLOG) return ok(`up to ${most} connections wait to be accepted`)
  return {
    verdict: 'warning',
    found: `only ${most} connections wait to be accepted`,
    next: `Raise it: sysctl net.core.somaxconn=${NODE_BACKLOG}`,
  }
}

/** Less is a machine on which Node itself hardly starts twice. */
const LITTLE_BYTES = 256 * 1024 ** 2

async function lookAtMemory(): Promise<Look> {
  const bounds = await memoryBounds()
  const [least] = [...bounds].sort((a, b) => a.leftBytes - b.leftBytes)
  if (least === undefined) return ok('no limit is known')
  const found = `${Math.floor(least.leftBytes / 1024 ** 2).toLocaleString('en')} MiB are left of ${least.name}`
  if (least.leftBytes >= LITTLE_BYTES) return ok(found)
  return { verdict: 'warning', found, next: 'An upgrade needs the memory of both releases for a while.' }
}

function lookAtDirectory(adminSocket: string): Look {
  const folder = dirname(adminSocket)
  const existing = [dirname(folder), folder].filter((path) => existsSync(path))
  try {
    for (const path of existing) checkDirectory(path, path === folder)
  } catch (error) {
    if (!(error instanceof HandoverError)) throw error
    return { verdict: 'bad', found: error.message }
  }
  if (existing.length > 0) return ok(folder)
  const above = dirname(dirname(folder))
  if (!existsSync(above) || !lstatSync(above).isDirectory())
    return { verdict: 'bad', found: `${above} is not there`, next: 'Set XDG_RUNTIME_DIR to a folder of yours.' }
  return ok(`${folder} is made when a supervisor starts`)
}
