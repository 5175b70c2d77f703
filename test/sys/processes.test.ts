/** Families of processes, and the kernel's table of their sockets. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import t from 'tap'
import { allProcesses, familyOf, processRow, startedWith } from '../../src/sys/process-tree.js'
import { connectionsOf, socketsOf, tcpTable } from '../../src/sys/tcp-table.js'
import { isRunning } from '../harness/census.js'
import { cleanEnvironment, compiled } from '../harness/child.js'
import { until } from '../harness/timeout.js'

t.test('a family: the session, and who has left it', async (t) => {
  const script = 'echo $$; setsid sh -c "echo \\$\\$; exec sleep 1000" & sleep 1000 & echo $!; wait'
  const child = spawn('setsid', ['-w', 'sh', '-c', script], {
    env: cleanEnvironment({ MARK: 'a=b' }),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: number[] = []
  for await (const line of createInterface(child.stdout!)) if (lines.push(Number(line)) === 3) break
  const leader = lines[0]!
  t.equal(processRow(leader).session, leader)
  await until(() => familyOf(leader).length === 3, 'all three')
  t.same(
    familyOf(leader).sort((a, b) => a - b),
    [...lines].sort((a, b) => a - b),
  )
  t.equal(lines.filter((pid) => processRow(pid).session === leader).length, 2)
  t.ok(allProcesses().some(({ pid, parent }) => pid === process.pid && parent === process.ppid))
  t.equal(startedWith(leader, 'MARK'), 'a=b')
  t.equal(startedWith(leader, 'MAR'), undefined)
  t.equal(startedWith(2 ** 22 + 1, 'MARK'), undefined)
  for (const pid of lines) process.kill(pid, 'SIGKILL')
  await once(child, 'exit')
  await until(() => lines.every((pid) => !isRunning(pid)), 'their end')
  t.same(familyOf(leader), [])
})

t.test('who holds a connection', async (t) => {
  const accepted: Socket[] = []
  const server = createServer((socket) => accepted.push(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect(port, '127.0.0.1')
  await until(() => accepted.length === 1, 'the connection')
  const ports = new Set([port])
  t.equal(connectionsOf([process.pid], ports), 1, 'the listener is none')
  t.equal(connectionsOf([process.pid], new Set()), 0)
  t.equal(connectionsOf([], ports), 0)
  t.equal(connectionsOf([2 ** 22 + 1], ports), 0)
  t.equal(tcpTable().filter(({ localPort, isListening }) => localPort === port && isListening).length, 1)
  const row = tcpTable().find(({ localPort, remotePort }) => localPort === port && remotePort === client.localPort)!
  t.ok(socketsOf([process.pid])?.has(row.inode))
  client.destroy()
  accepted[0]!.destroy()
  server.close()
  await until(() => connectionsOf([process.pid], ports) === 0, 'its end')
})

t.test('a process that is known has ended only if the kernel says so, not for want of descriptors', async (t) => {
  const script = `import { closeSync, openSync } from 'node:fs'
    import { openKnown } from ${JSON.stringify(compiled('src/sys/adopted-program.js'))}
    import { processRow } from ${JSON.stringify(compiled('src/sys/process-tree.js'))}
    const known = processRow(process.pid)
    const said = []
    const look = (what) => {
      try {
        const pidfd = openKnown(what)
        said.push(typeof pidfd)
        if (pidfd !== undefined) closeSync(pidfd)
      } catch ({ code }) {
        said.push(code)
      }
    }
    look(known)
    look({ ...known, startTime: '1' })
    look({ ...known, pid: 2 ** 22 + 1 })
    const all = []
    try {
      for (;;) all.push(openSync('/dev/null'))
    } catch {}
    for (let free = 0; free < 3; free++) {
      look(known)
      closeSync(all.pop())
    }
    console.log(said.join())`
  const limited = ['-c', 'ulimit -n 256; exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', script]
  const { stdout, stderr } = spawnSync('sh', limited, { encoding: 'utf8', env: cleanEnvironment() })
  t.equal(stdout.trim(), 'number,undefined,undefined,EMFILE,EMFILE,number', stderr)
})
