/** `npm start -- --serve`: the chat server stays up, to be talked to and upgraded by hand. */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ChatService, RELEASES } from './supervisor.js'

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url))

export async function serve(say: (text: string) => unknown): Promise<boolean> {
  const service = await ChatService.start((line) => process.stderr.write(`${line}\n`))
  const command = (words: string): string => `  XDG_RUNTIME_DIR=${service.directory} npx handover ${words}`
  const upgradeTo = (release: keyof typeof RELEASES): string =>
    command(`upgrade --name chat -- node ${relative(packageRoot, RELEASES[release])}`)
  say(
    [
      '',
      'The chat server is up. In a second terminal, and a third, and a fourth:',
      `  nc 127.0.0.1 ${service.port}`,
      '',
      `Then replace it under them, from ${packageRoot}:`,
      upgradeTo('chat-2'),
      'and back:',
      upgradeTo('chat-1'),
      'and see:',
      command('status --name chat'),
      '',
      'Ctrl-C stops everything.',
      '',
    ].join('\n'),
  )
  const interrupt = new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, resolve)
  })
  await Promise.race([interrupt, service.ended()])
  // Its end without being asked is a failure; by `handover stop` it has ended in order.
  await service.stop()
  return service.endedWell
}
