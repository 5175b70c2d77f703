/** An HTTP server that answers 64 bytes. `http.js CONNECTIONS MODE`: `plain`, or `joined` with the library. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'handover'
import { raiseDescriptorLimit } from '../descriptors.js'
import { BODY } from '../protocols.js'
import { endOnSignal } from './server.js'

/** Idle clients are to stay for as long as a trial lasts. */
const KEEP_ALIVE_MS = 600_000

const [connections = '1000', mode = 'joined'] = process.argv.slice(2)
raiseDescriptorLimit(Number(connections))
endOnSignal()

const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true }, (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': BODY.length })
  response.end(BODY)
})
const say = (): void => console.log(`port ${(server.address() as AddressInfo).port}`)

if (mode === 'plain') {
  server.listen({ port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1', backlog: 4096 }, say)
} else {
  const runtime = await join()
  console.log(`started ${process.pid}`)
  await runtime.listen(server, { name: 'bench', port: 0, host: '127.0.0.1', backlog: 4096 })
  await runtime.ready()
  say()
}
