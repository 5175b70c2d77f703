/** Whether a server is well, asked in each of the ways. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { checkHealth, illness } from '../../src/supervisor/health.js'
import { freePort } from '../harness/port.js'

const processes = [
  { generation: 2, pid: 10, worker: 0 },
  { generation: 2, pid: 11, worker: 1 },
]

async function listening(t: Test, server: net.Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('by HTTP: 200 to 399 from all of them', async (t) => {
  let statuses: number[] = []
  const server = createServer((_request, response) => {
    response.statusCode = statuses.shift() ?? 500
    response.end()
  })
  const url = `http://${await listening(t, server)}/health?deep=1`
  statuses = [200, 204, 301, 399]
  t.equal(await illness(url, processes), undefined)
  t.same(statuses, [], 'two for each process')
  statuses = [200, 200, 200, 400]
  t.match(await illness(url, processes), /\/health\?deep=1 answered 400$/)
})

t.test('by TCP, and who is not there', async (t) => {
  const server = net.createServer((socket) => socket.destroy())
  const address = await listening(t, server)
  t.equal(await illness(`tcp://${address}`, processes), undefined)
  t.match(await illness(`http://${address}/`, processes), /gave no answer$/)
  t.match(await illness(`tcp://127.0.0.1:${await freePort()}`, processes), /^no connection to 127/)
})

t.test('by a function, for each process', async (t) => {
  const asked: unknown[] = []
  t.equal(await illness((each) => void asked.push(each), processes), undefined)
  t.same(asked, processes)
  t.equal(await illness(async ({ pid }) => pid !== 11, processes), 'the check of pid 11 says so')
  t.equal(await illness(() => Promise.reject(new Error('no database')), processes), 'no database')
  t.equal(await illness(() => new Promise(() => undefined), processes), 'no answer within 5 s')
})

t.test('what it may be', async (t) => {
  for (const url of ['', 'auto', 'https://localhost:1/', 'http://localhost/', 'tcp://localhost:1/x', 'http://a:99999/'])
    t.throws(() => checkHealth(url), { code: 'HANDOVER_USAGE', message: /^--health / }, url)
  t.doesNotThrow(() => checkHealth('http://[::1]:80/a?b'))
})
