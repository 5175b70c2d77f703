/** `npm start` in a terminal: the chat with its page stays up, and is upgraded by a key or the page's button. */
import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { UpgradeResult } from 'handover/supervisor'
import { keys } from './keys.js'
import { CHAT, Service } from './supervisor.js'

const PORT = 4000
const packageRoot = fileURLToPath(new URL('../../..', import.meta.url))

type Name = keyof typeof CHAT

/** Serves until it is told to stop. True when it ended in order. */
export async function serve(say: (text: string) => unknown): Promise<boolean> {
  let service: Service<Name> | undefined
  let release: Name = 'chat 1.0'
  let upgrading: Promise<UpgradeResult> | undefined

  async function upgrade(): Promise<UpgradeResult> {
    const other: Name = release === 'chat 1.0' ? 'chat 2.0' : 'chat 1.0'
    say(`Upgrading to ${other} …`)
    const result = await service!.upgrade(other)
    say(summaryOf(result))
    return result
  }
  /** One at a time: who asks meanwhile gets the same result. */
  const upgradeOnce = (): Promise<UpgradeResult> => {
    upgrading ??= upgrade().finally(() => {
      upgrading = undefined
    })
    return upgrading
  }

  const control = await startControl(upgradeOnce)
  const stopped = new AbortController()
  const stopKeys = keys({
    u: () => void upgradeOnce().catch((error: Error) => say(error.message)),
    q: () => stopped.abort(),
  })
  try {
    service = await Service.start(
      CHAT,
      (line) => {
        // Said by whoever serves, however it was upgraded.
        const serving = /^(chat \d\.\d) serves /.exec(line)?.[1]
        if (serving !== undefined) release = serving as Name
        if (process.env['HANDOVER_VERBOSE']) process.stderr.write(`${line}\n`)
      },
      {
        PORT: process.env['PORT'] ?? String(await freePort()),
        CHAT_CONTROL: control.url,
      },
    )
    say(greetingOf(service))
    const interrupt = new Promise((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, resolve)
      stopped.signal.addEventListener('abort', resolve)
    })
    await Promise.race([interrupt, service.ended()])
    say('Stopping …')
    await upgrading?.catch(() => undefined)
    // Its end without being asked is a failure; by `handover stop` it has ended in order.
    await service.stop()
    return service.endedWell
  } finally {
    stopKeys()
    control.server.close()
    control.server.closeAllConnections()
  }
}

function greetingOf(service: Service<Name>): string {
  const upgrade = `XDG_RUNTIME_DIR=${service.directory} npx handover upgrade --name chat -- node`
  return [
    '',
    `  The chat is up:  http://127.0.0.1:${service.port}`,
    '',
    '  Open it in a browser, or two, and say something. Then replace the server under the page:',
    ...(process.stdin.isTTY ? ['    press u here (q, or Ctrl-C, stops everything),'] : []),
    '    or use the button on the page,',
    `    or, in another terminal, from ${packageRoot}:`,
    `      ${upgrade} ${relative(packageRoot, CHAT['chat 2.0'])}`,
    '',
    '  npm start -- --demo shows it with 1,000 clients that check every byte.',
    '',
  ].join('\n')
}

function summaryOf({ outcome, from, to, sessions, pauseMs, reasons }: UpgradeResult): string {
  const pause = pauseMs === null ? '' : `, pause ${pauseMs.max.toFixed(1)} ms`
  return [
    `  ${outcome}: ${from.release} in process ${from.pid} → ${to.release} in process ${to.pid}`,
    `  ${sessions.moved} moved, ${sessions.drained} drained, ${sessions.dropped} dropped${pause}`,
    ...reasons.map(({ of, reason, count }) => `  ${of}: ${reason} (${count})`),
  ].join('\n')
}

/** The page's button ends here. The secret in the address keeps other pages of the same browser out. */
async function startControl(upgrade: () => Promise<UpgradeResult>): Promise<{ server: Server; url: string }> {
  const path = `/${randomBytes(16).toString('hex')}`
  const server = createServer(async (request, response) => {
    if (request.url !== path || request.method !== 'POST') {
      response.writeHead(404).end()
      return
    }
    const head = { 'access-control-allow-origin': '*', 'content-type': 'application/json' }
    try {
      const { outcome, sessions, pauseMs } = await upgrade()
      response.writeHead(200, head).end(JSON.stringify({ outcome, sessions, pauseMs: pauseMs?.max.toFixed(1) ?? null }))
    } catch (error) {
      response.writeHead(500, head).end(JSON.stringify({ error: (error as Error).message }))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}` }
}

/** The usual one, if it is free. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createTcpServer()
    probe.once('error', () => resolve(0))
    probe.listen(PORT, '127.0.0.1', () => probe.close(() => resolve(PORT)))
  })
}
