/** The page's three files, as they are on disk. */
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'

const FILES: Record<string, readonly [file: string, type: string]> = {
  '/': ['index.html', 'text/html'],
  '/style.css': ['style.css', 'text/css'],
  '/page.js': ['page.js', 'text/javascript'],
}

/** The compiler does not copy them. */
const folder = new URL('../../../examples/chat/public/', import.meta.url)

export function servePage(request: IncomingMessage, response: ServerResponse): void {
  const [file, type] = FILES[request.url ?? ''] ?? []
  if (file === undefined) {
    response.writeHead(404).end()
    return
  }
  response.writeHead(200, {
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'self'; connect-src 'self' http://127.0.0.1:*; img-src data:",
  })
  response.end(readFileSync(new URL(file, folder)))
}
