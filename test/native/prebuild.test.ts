/** One binary, built once, serves every supported line of Node: it uses Node-API and libuv's stable part only. */
import t from 'tap'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { addonPath, runScript } from './script.js'

const program = `
  import { Worker } from 'node:worker_threads'
  import { once } from 'node:events'
  const [left, right] = b.socketpair()
  const file = b.memfd('state')
  b.send(left, Buffer.from('across'), [file])
  const into = Buffer.alloc(100)
  const { bytes, descriptors } = b.receive(right, into)
  const woken = await new Promise((resolve) => {
    const watcher = b.watch(right, (events) => { watcher.close(); resolve(events) })
    watcher.start(POLLIN)
    b.send(left, Buffer.from('x'), [])
  })
  const body = \`
    import { createRequire } from 'node:module'
    import { parentPort, workerData } from 'node:worker_threads'
    const b = createRequire('/')(workerData)
    const [left, right] = b.socketpair()
    b.watch(right, () => { parentPort.postMessage('looping'); for (;;); }).start(1)
    b.send(left, Buffer.from('x'), [])\`
  const thread = new Worker(body, { eval: true, workerData: process.env.ADDON })
  await once(thread, 'message')
  await thread.terminate()
  say({
    major: Number(process.versions.node.split('.')[0]),
    text: into.toString('latin1', 0, bytes),
    descriptors: descriptors.length,
    woken,
    failure: caught(() => b.pidfdWait(b.pidfdOpen(process.ppid))).code,
    cookie: typeof b.socketCookie(left),
  })
`

for (const major of NODE_MAJORS) {
  const node = await nodeBinary(major)
  t.test(`the binary works on Node ${major}`, { skip: node === undefined && NO_NODE }, async (t) => {
    const { said, code, stderr } = runScript(program, { node: node!, env: { ADDON: addonPath } })
    t.same(said, [{ major, text: 'across', descriptors: 1, woken: 1, failure: 'ECHILD', cookie: 'bigint' }], stderr)
    t.equal(code, 0)
    t.equal(stderr, '', 'and warns of nothing')
  })
}
