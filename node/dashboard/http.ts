// A small HTTP server on loopback: who may ask, what and how much, ahead of every route.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MurmurError } from '../../protocol/errors.ts'

const HOST = '127.0.0.1'
/** Names of this machine: with another, a page from elsewhere asks under a name that it has made point here (DNS rebinding). */
const OWN_NAMES: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]'])
/** Connections at a time: a page has one for its events and opens up to six. */
export const MAX_CONNECTIONS = 64
/** Bytes of a request's line and headers. */
const MAX_HEADERS = 8192
/** Milliseconds for a request's headers, and for all of it. */
const REQUEST_MILLIS = 10_000
/** Random bits of a token. */
const TOKEN_BITS = 128

/** Scripts and styles of this server and nothing else: no text that a stranger has chosen can become code. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
}

export interface Route {
  method: 'GET' | 'POST'
  /** Without the token, anyone on this machine may ask. */
  open?: boolean
  answer(request: { path: string; isHead: boolean; headers: IncomingMessage['headers'] }, response: ServerResponse): void | Promise<void>
}

export interface HttpServer {
  readonly port: number
  stop(): Promise<void>
}

export const newToken = (): string => randomBytes(TOKEN_BITS / 8).toString('base64url')

/** Takes as long for any two texts: hashes have one length, and say nothing of where they begin to differ. */
function isSame(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => createHash('sha256').update(text).digest())
  return timingSafeEqual(left!, right!)
}

export function answer(response: ServerResponse, status: number, type: string, body: string | Uint8Array, headers: object = {}): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store', ...headers })
  response.end(body)
}

const refuse = (response: ServerResponse, status: number, why: string, headers: object = {}) =>
  answer(response, status, 'text/plain; charset=utf-8', `${why}\n`, headers)

/**
 * @param route what answers a path, where anything does
 * @param token what a request must bring as `Authorization: Bearer`, except where a route is open
 * @throws port-in-use
 */
export async function serveHttp(port: number, route: (path: string) => Route | undefined, token?: string): Promise<HttpServer> {
  async function onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    const { headers, method } = request
    const name = (headers.host ?? '').replace(/:\d+$/, '')
    if (!OWN_NAMES.has(name)) return refuse(response, 403, 'Ask for this server by the name 127.0.0.1 or localhost.')
    if (headers.origin !== undefined && headers.origin !== `http://${headers.host}`) return refuse(response, 403, 'Not for other sites.')
    if (Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined) {
      // What it sends is not read.
      return refuse(response, 413, 'No request here has a body.', { connection: 'close' })
    }
    const path = (request.url ?? '/').replace(/[?#].*$/s, '')
    const found = route(path)
    if (found === undefined) return refuse(response, 404, 'There is nothing here.')
    const allowed = found.method === 'GET' ? ['GET', 'HEAD'] : ['POST']
    if (!allowed.includes(method ?? '')) return refuse(response, 405, `Use ${allowed.join(' or ')}.`, { allow: allowed.join(', ') })
    const given = /^Bearer (.{1,100})$/.exec(headers.authorization ?? '')?.[1] ?? ''
    if (found.open !== true && token !== undefined && !isSame(given, token)) {
      return refuse(response, 401, 'Open the link that `murmur status DIR` prints: it holds the key.', { 'www-authenticate': 'Bearer' })
    }
    await found.answer({ path, isHead: method === 'HEAD', headers }, response)
  }

  const server = createServer(
    { maxHeaderSize: MAX_HEADERS, headersTimeout: REQUEST_MILLIS, requestTimeout: REQUEST_MILLIS, insecureHTTPParser: false },
    (request, response) => {
      onRequest(request, response).catch((error: unknown) => {
        if (response.headersSent) response.destroy()
        else refuse(response, 500, error instanceof MurmurError ? error.message : 'The dashboard failed.')
      })
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  await new Promise<void>((done, failed) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'another program uses it' : (cause.code ?? cause.message)
      failed(new MurmurError('port-in-use', `Port ${port} of ${HOST} cannot be opened (${why}); choose another.`, { cause }))
    })
    server.listen(port, HOST, done)
  })
  // Where no more files can be opened, nobody is let in; the peer goes on.
  server.on('error', () => {})
  server.unref()
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = new Promise<void>((done) => server.close(() => done()))
      server.closeAllConnections()
      await closed
    },
  }
}
