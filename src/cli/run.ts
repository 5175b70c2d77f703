/** `handover run`: the supervisor in the foreground. */
import { dirname } from 'node:path'
import { pino } from 'pino'
import { EXIT, HandoverError, messageOf } from '../errors.js'
import { Admin, adminSocketPath, Supervisor } from '../supervisor/index.js'
import type { POLICIES, UNSETTLED } from '../supervisor/options.js'
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
  readonly json?: boolean
}

/** Resolves with the exit code when the supervisor has ended. */
export async function run(command: readonly string[], flags: RunFlags): Promise<number> {
  const path = adminSocketPath(flags.name)
  const logger = await createLogger(flags.json === true)
  const manager = managerOf(process.env, process.pid)
  const [readyTimeoutMs, drainMs] = [parseDuration(flags.readyTimeout), parseDuration(flags.drain)]
  const supervisor = new Supervisor({
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
    freezeMs: parseDuration(flags.freeze),
    checkMs: parseDuration(flags.check),
    copyMs: parseDuration(flags.copy),
    policy: flags.policy,
    unsettled: flags.unsettled,
    workers: flags.workers,
    maxCrashes: flags.maxCrashes,
    ...(flags.health === undefined ? {} : { health: flags.health }),
    ...(flags.probation === undefined ? {} : { probationMs: parseDuration(flags.probation) }),
    ...(flags.memoryLimit === undefined ? {} : { memoryLimitBytes: parseSize(flags.memoryLimit) }),
    logger,
  })
  const admin = new Admin(supervisor, path, logger)
  await admin.open()
  logger.info({ name: flags.name, pid: process.pid, admin: path }, 'supervisor started')
  const { client, watchdogMs } = manager
  const service =
    client &&
    new Service({
      client,
      supervisor,
      readyTimeoutMs,
      drainMs,
      keepsSessions: flags.keep === 'sessions',
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
      manager.store?.discard()
      await service?.ready()
    }
    supervisor.start().then(serves, (error: unknown) => {
      if (!(error instanceof HandoverError)) {
        // Nobody is to believe that it serves: whoever has started it may start it again.
        logger.error({ error }, `the first generation could not be started: ${messageOf(error)}`)
        stop(EXIT.failed)
      }
      // Of a runtime that crashes, or a stop, it is heard by the events above.
      else if (error.code !== 'HANDOVER_CRASHED' && error.code !== 'HANDOVER_BUSY') {
        logger.error({ code: error.code }, error.message)
        stop(error.exitCode)
      }
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
