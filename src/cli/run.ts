/** `handover run`: the supervisor in the foreground. */
import { dirname } from 'node:path'
import { pino } from 'pino'
import { EXIT, HandoverError, messageOf } from '../errors.js'
import type { Replace } from '../supervisor/admin.js'
import { answerClient, type Carried, goBack, type Image, takeCarried } from '../supervisor/image.js'
import { Admin, adminSocketPath, Supervisor } from '../supervisor/index.js'
import { keepMs } from '../supervisor/keeper.js'
import type { POLICIES, UNSETTLED } from '../supervisor/options.js'
import { answerRehearsal, isRehearsal } from '../supervisor/rehearsal.js'
import { listenerStore, managerOf, Service, sessionStore } from '../supervisor/systemd/index.js'
import { parseDuration } from './duration.js'
import { parseListen } from './listen.js'
import { type ProgramFlags, programOptions } from './program.js'
import { parseSize } from './size.js'

export interface RunFlags extends ProgramFlags {
  readonly listen: readonly string[]
  readonly name: string
  readonly node?: string
  readonly readyTimeout: string
  readonly drain: string
  readonly freeze: string
  readonly check: string
  readonly copy: string
  readonly policy: (typeof POLICIES)[number]
  readonly unsettled: (typeof UNSETTLED)[number]
  readonly memoryLimit?: string
  readonly workers: number
  readonly keep?: 'listeners' | 'sessions'
  readonly user?: string
  readonly maxCrashes: number
  readonly health?: string
  readonly probation?: string
  readonly escrow?: string
  readonly json?: boolean
}

/** Resolves with the exit code when the supervisor has ended. */
export async function run(command: readonly string[], flags: RunFlags, version: string): Promise<number> {
  const carried = takeCarried(process.env)
  try {
    return await supervise(command, flags, version, carried)
  } catch (error) {
    goBack(carried, error, process.env)
    throw error
  }
}

/** This one, by another Node or another file of the command line. */
const imageOf = (node = process.execPath, cli = process.argv[1] as string): Image => ({
  node,
  args: [...process.execArgv, cli, ...process.argv.slice(2)],
})

async function supervise(
  command: readonly string[],
  flags: RunFlags,
  version: string,
  carried: Carried | undefined,
): Promise<number> {
  const path = adminSocketPath(flags.name)
  const logger = await createLogger(flags.json === true)
  const manager = managerOf(process.env, process.pid)
  const [readyTimeoutMs, drainMs] = [parseDuration(flags.readyTimeout), parseDuration(flags.drain)]
  const [checkMs, freezeMs] = [parseDuration(flags.check), parseDuration(flags.freeze)]
  const options = {
    release: {
      command,
      cwd: process.cwd(),
      ...(flags.node === undefined ? {} : { node: flags.node }),
      ...(flags.user === undefined ? {} : { user: flags.user }),
      ...programOptions(flags),
    },
    listen: flags.listen.map(parseListen),
    adoptOrphans: true,
    directory: dirname(path),
    inherited: manager.sockets,
    ...(manager.store === undefined || flags.keep === undefined ? {} : { listenerStore: listenerStore(manager.store) }),
    ...(manager.store === undefined || flags.keep !== 'sessions' ? {} : { sessionStore: sessionStore(manager.store) }),
    readyTimeoutMs,
    drainMs,
    freezeMs,
    checkMs,
    copyMs: parseDuration(flags.copy),
    policy: flags.policy,
    unsettled: flags.unsettled,
    workers: flags.workers,
    maxCrashes: flags.maxCrashes,
    ...(flags.health === undefined ? {} : { health: flags.health }),
    ...(flags.probation === undefined ? {} : { probationMs: parseDuration(flags.probation) }),
    ...(flags.escrow === undefined ? {} : { escrowMs: parseDuration(flags.escrow) }),
    ...(flags.memoryLimit === undefined ? {} : { memoryLimitBytes: parseSize(flags.memoryLimit) }),
    logger,
  }
  const supervisor = new Supervisor(options, carried)
  if (isRehearsal(process.env)) {
    answerRehearsal(options.directory, version)
    return EXIT.ok
  }
  const now = { version, node: process.versions.node }
  const replace: Replace = ({ node, cli }, client) => {
    const others = { admin: admin.carried(), client: client ?? null, from: now, before: imageOf(), failure: null }
    return supervisor.replacement.run(imageOf(node, cli), others)
  }
  const admin = new Admin(supervisor, path, logger, replace, carried?.admin)
  await admin.open()
  logger.info({ name: flags.name, pid: process.pid, admin: path, ...now }, 'supervisor started')
  if (flags.keep !== undefined && manager.store === undefined)
    logger.warn(
      { keep: flags.keep },
      'there is no store of descriptors (systemd, FileDescriptorStoreMax=): nothing is kept over a restart',
    )
  const { client, watchdogMs } = manager
  const service =
    client &&
    new Service({
      client,
      supervisor,
      readyTimeoutMs,
      drainMs,
      keepMs: flags.keep === 'sessions' ? keepMs({ checkMs, freezeMs }) : 0,
      watchdogMs,
    })

  const ended = new Promise<number>((resolve) => {
    let stopping = false
    const stop = (code: number) => {
      if (stopping) return
      stopping = true
      void supervisor.stop().then(() => resolve(code))
    }
    process.on('SIGTERM', () => stop(EXIT.ok))
    process.on('SIGINT', () => stop(EXIT.ok))
    process.on('SIGHUP', () => {
      supervisor.upgrade().catch((error: unknown) => {
        logger.error({ error }, 'SIGHUP: no upgrade')
        service?.refused(messageOf(error))
      })
    })
    supervisor.once('stopped', () => stop(EXIT.ok))
    supervisor.once('gaveUp', () => stop(EXIT.crashed))
    const serves = async () => {
      if (carried !== undefined) answerClient(carried, now)
      manager.store?.discard()
      await service?.ready()
    }
    supervisor.start().then(serves, (error: unknown) => {
      const known = error instanceof HandoverError ? error : undefined
      // Of a runtime that crashes, or a stop, it is heard by the events above.
      if (known?.code === 'HANDOVER_CRASHED' || known?.code === 'HANDOVER_BUSY') return
      if (known !== undefined) logger.error({ code: known.code }, known.message)
      else logger.error({ error }, `the first generation could not be started: ${messageOf(error)}`)
      goBack(carried, error, process.env)
      // Nobody is to believe that it serves: whoever has started it may start it again.
      stop(known?.exitCode ?? EXIT.failed)
    })
  })
  const code = await ended
  await admin.close()
  service?.close()
  logger.info({ code }, 'supervisor ended')
  return code
}

/** NDJSON, or for people when stderr is a terminal. On stderr: stdout belongs to the service. */
async function createLogger(json: boolean) {
  if (json || !process.stderr.isTTY) return pino({ base: null }, pino.destination({ fd: 2, sync: true }))
  const { build: pretty } = await import('pino-pretty')
  return pino(
    { base: null },
    pretty({ colorize: process.env['NO_COLOR'] === undefined, destination: 2, sync: true, ignore: 'pid,hostname' }),
  )
}
