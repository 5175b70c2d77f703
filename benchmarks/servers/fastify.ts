/** A fastify server that answers 64 bytes. `fastify.js CONNECTIONS MODE` */
import createFastify from 'fastify'
import { http } from 'handover/http'
import { BODY } from '../protocols.js'
import { KEEP_ALIVE_MS, serve } from './server.js'

const fastify = createFastify({ keepAliveTimeout: KEEP_ALIVE_MS })
fastify.get('/', (_request, reply) => reply.type('text/plain').send(BODY))
await fastify.ready()
await serve(fastify.server, (runtime) => http(runtime, fastify.server))
