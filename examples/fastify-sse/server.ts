/**
 * A fastify API with an event stream: readings are posted, and everybody who listens gets them, through any upgrade.
 *
 *   npx handover run -- node dist/examples/fastify-sse/server.js
 *   curl -N http://127.0.0.1:4000/events
 *   curl -X POST -H 'content-type: application/json' -d '{"sensor":"roof","value":21.5}' http://127.0.0.1:4000/readings
 *   npx handover upgrade
 */
import type { AddressInfo } from 'node:net'
import fastify from 'fastify'
import { join } from 'handover'
import { http } from 'handover/http'
import { type EventStream, sse } from 'handover/sse'

interface Reading {
  readonly id: number
  readonly sensor: string
  readonly value: number
}

const KEPT = 1000

const runtime = await join()
const app = fastify()
const events = sse<{ sensor: string | null }>(runtime, { server: app.server, retryMs: 1000 })

/** What is kept of the readings is shared state: who comes back with Last-Event-ID gets what it has missed. */
let readings: Reading[] = []
let nextId = 1
runtime.state<{ readings: Reading[]; nextId: number }>('readings', {
  version: 1,
  capture: () => ({ readings, nextId }),
  restore: (state) => ({ readings, nextId } = state),
})

const send = (stream: EventStream, reading: Reading): void => {
  stream.send({ event: 'reading', id: reading.id, data: reading })
}

app.get<{ Querystring: { sensor?: string } }>('/events', (request, reply) => {
  reply.hijack()
  const stream = events.open(request.raw, reply.raw, { sensor: request.query.sensor ?? null })
  const seen = Number(stream.lastEventId)
  for (const reading of readings) if (reading.id > seen && wants(stream, reading)) send(stream, reading)
})

const wants = ({ session: { sensor } }: EventStream<{ sensor: string | null }>, reading: Reading): boolean =>
  sensor === null || sensor === reading.sensor

const schema = {
  body: {
    type: 'object',
    required: ['sensor', 'value'],
    properties: { sensor: { type: 'string', maxLength: 64 }, value: { type: 'number' } },
  },
}

app.post<{ Body: { sensor: string; value: number } }>('/readings', { schema }, async ({ body }, reply) => {
  const reading = { id: nextId++, sensor: body.sensor, value: body.value }
  readings.push(reading)
  if (readings.length > KEPT) readings.shift()
  const told = events.broadcast({ event: 'reading', id: reading.id, data: reading }, (stream) => wants(stream, reading))
  return reply.code(201).send({ ...reading, told })
})

app.get('/status', async () => ({
  process: process.pid,
  generation: runtime.generation,
  streams: events.size,
  readings: readings.length,
}))

await app.ready()
http(runtime, app.server)
await runtime.listen(app.server, { name: 'http', port: Number(process.env['PORT'] ?? 4000), host: '127.0.0.1' })
await runtime.ready()
console.log(`serves 127.0.0.1:${(app.server.address() as AddressInfo).port} as process ${process.pid}`)
