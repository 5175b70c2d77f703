/** nginx: SIGHUP starts new workers, and the old ones end when their connections have. */
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { ProtocolName } from '../protocols.js'
import { startBackend } from './backend.js'
import { startMaster } from './master.js'
import { findProgram, freePort, type Peer, temporaryFolder } from './peer.js'

const WORKERS = 4

function built(): string {
  const program = findProgram('nginx')
  return program === undefined ? '' : spawnSync(program, ['-V'], { encoding: 'utf8' }).stderr
}

/** The line that loads the module for TCP: empty when it is built in, undefined when there is none. */
function streamModule(): string | undefined {
  const words = built()
  if (/--with-stream(\s|$)/.test(words)) return ''
  const file = join(/--modules-path=(\S+)/.exec(words)?.[1] ?? '/usr/lib/nginx/modules', 'ngx_stream_module.so')
  return existsSync(file) ? `load_module ${file};` : undefined
}

const SERVERS: Readonly<Record<ProtocolName, (port: number, backend: number, folder: string) => string>> = {
  tcp: (port, backend) => `
stream {
  server { listen 127.0.0.1:${port} backlog=4096; proxy_pass 127.0.0.1:${backend}; proxy_timeout 10m; }
}`,
  http: (port, backend, folder) => `
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  keepalive_timeout 600s; keepalive_requests 1000000;
  upstream servers { server 127.0.0.1:${backend}; keepalive 64; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://servers; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}`,
}

const config = (folder: string, protocol: ProtocolName, port: number, backend: number): string => `
${protocol === 'tcp' ? streamModule() : ''}
daemon off;
${process.getuid?.() === 0 ? `user ${userInfo().username};` : ''}
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
worker_processes ${WORKERS};
events { worker_connections 19000; }
${SERVERS[protocol](port, backend, folder)}
`

export const nginx = (protocol: ProtocolName): Peer => ({
  title: 'nginx reload',
  protocol,
  replaces: 'proxy',
  // Two for each connection, but spread over several workers.
  descriptors: 1,
  unavailable() {
    if (findProgram('nginx') === undefined) return 'nginx is not installed (apt install nginx)'
    const isMissing = protocol === 'tcp' && streamModule() === undefined
    return isMissing ? 'nginx has no stream module here (apt install libnginx-mod-stream)' : undefined
  },
  async start(t, connections) {
    const folder = temporaryFolder(t)
    const [port, backend] = [await freePort(), await startBackend(t, protocol, connections)]
    const file = join(folder, 'nginx.conf')
    writeFileSync(file, config(folder, protocol, port, backend))
    const args = ['-p', folder, '-c', file, '-e', join(folder, 'error.log')]
    return startMaster(t, findProgram('nginx')!, args, { port, reloadBy: 'SIGHUP' })
  },
})
