/** An HTTP server that answers 64 bytes. `http.js CONNECTIONS MODE` */
import { createServer } from 'node:http'
import { http } from 'handover/http'
import { BODY } from '../protocols.js'
import { KEEP_ALIVE_MS, serve } from './server.js'

const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true }, (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': BODY.length })
  response.end(BODY)
})
await serve(server, (runtime) => http(runtime, server))
