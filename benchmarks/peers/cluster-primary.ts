/** `cluster-primary.js FILE ARGS`: one worker; a line of stdin replaces it. Says `serving PID` for each that listens. */
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { DRAIN_MS } from './peer.js'

const [file, ...args] = process.argv.slice(2)
cluster.setupPrimary({ exec: file!, args })

async function start(): Promise<Worker> {
  const worker = cluster.fork()
  await once(worker, 'listening')
  console.log(`serving ${worker.process.pid}`)
  return worker
}

/** As the documentation of node:cluster shows it. */
function end(worker: Worker): void {
  const timer = setTimeout(() => worker.process.kill('SIGKILL'), DRAIN_MS)
  worker.once('exit', () => clearTimeout(timer))
  worker.disconnect()
}

let worker = await start()
for await (const _order of createInterface(process.stdin)) {
  const next = await start()
  end(worker)
  worker = next
}
for (const one of Object.values(cluster.workers ?? {})) one?.process.kill('SIGKILL')
process.exit()
