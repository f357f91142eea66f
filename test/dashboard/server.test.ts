// Who is let in: a page on loopback that other sites, other users and large or many requests cannot use.
import { createServer, request as httpRequest } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import t from 'tap'
import { MAX_CONNECTIONS } from '../../node/dashboard/http.ts'
import { MAX_WATCHERS } from '../../node/dashboard/stream.ts'
import { dashboard } from './stand-in.ts'

/** A request whose headers fetch would not let through. */
function raw(origin: string, path: string, headers: Record<string, string>, method = 'GET', body?: Uint8Array): Promise<number> {
  return new Promise((done, failed) => {
    const asked = httpRequest(origin + path, { method, headers }, (response) => {
      response.resume()
      done(response.statusCode!)
    })
    asked.on('error', failed)
    asked.end(body)
  })
}

t.test('only the token opens what a peer sees; the files of the page hold no secret', async (t) => {
  const { origin, token, shown, show, ask } = await dashboard(t)
  show(shown)
  t.equal(Buffer.from(token, 'base64url').length, 16, '128 bits')
  for (const path of ['/events', '/metrics', '/rounds/1']) {
    for (const authorization of ['', 'Bearer ', `Bearer ${token.slice(1)}`, `Bearer ${token}x`, `Basic ${token}`]) {
      t.equal((await fetch(origin + path, { headers: { authorization } })).status, 401, `${path} with "${authorization}"`)
    }
    t.equal((await fetch(`${origin}${path}?token=${token}`)).status, 401, 'nor in the address, which logs keep')
  }
  t.equal((await fetch(`${origin}/model.onnx`, { method: 'POST' })).status, 401)
  const model = await ask('/model.onnx', { method: 'POST' })
  t.strictSame(new Uint8Array(await model.arrayBuffer()), Uint8Array.of(1, 2, 3))
  t.match(model.headers.get('content-disposition'), /a-test\.onnx/)
  for (const path of ['/', '/main.js', '/style.css', '/icon.svg', '/vendor/uplot.js', '/vendor/uplot.css']) {
    const response = await fetch(origin + path)
    t.equal(response.status, 200, path)
    t.notOk((await response.text()).includes(token), path)
  }
})

t.test('no other site may ask: neither under a name that it has made point here, nor from its pages', async (t) => {
  const { origin, token } = await dashboard(t)
  const authorization = `Bearer ${token}`
  const { host, port } = new URL(origin)
  for (const name of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', '.', '0.0.0.0']) {
    t.equal(await raw(origin, '/metrics', { authorization, host: name }), 403, `as "${name}"`)
  }
  for (const name of [host, `localhost:${port}`, '[::1]:1', 'localhost']) {
    t.equal(await raw(origin, '/metrics', { authorization, host: name }), 200, `as "${name}", also through a tunnel from another port`)
  }
  t.equal(await raw(origin, '/metrics', { authorization, host, origin: 'http://evil.example' }), 403)
  t.equal(await raw(origin, '/model.onnx', { authorization, host, origin: 'null' }, 'POST'), 403)
  const { headers } = await fetch(origin)
  t.notOk(headers.has('access-control-allow-origin'))
  const policy = headers.get('content-security-policy') ?? ''
  t.match(policy, /default-src 'none'/)
  t.notMatch(policy, /unsafe|http|\*/, 'nothing inline, nothing from elsewhere')
})

t.test('a request has one method, no body and few bytes', async (t) => {
  const { origin, token, ask } = await dashboard(t)
  const headers = { authorization: `Bearer ${token}` }
  for (const [path, method] of [
    ['/metrics', 'POST'],
    ['/health', 'DELETE'],
    ['/model.onnx', 'GET'],
    ['/', 'PUT'],
  ] as const) {
    t.equal((await ask(path, { method })).status, 405, `${method} ${path}`)
  }
  t.equal((await ask('/metrics', { method: 'HEAD' })).status, 200)
  t.equal((await ask('/events', { method: 'HEAD' })).status, 200)
  t.equal(await raw(origin, '/model.onnx', { ...headers, 'content-length': '2' }, 'POST', Buffer.from('{}')), 413)
  t.equal(await raw(origin, '/model.onnx', { ...headers, 'transfer-encoding': 'chunked' }, 'POST', Buffer.from('{}')), 413)
  t.equal(await raw(origin, '/metrics', { ...headers, 'x-long': 'x'.repeat(20_000) }), 431)
  for (const path of [
    '/../package.json',
    '/..%2fpackage.json',
    '/.hidden.js',
    '/main.ts',
    '/tsconfig.json',
    '/vendor/x.js',
    '/constructor',
    '/rounds/x',
  ]) {
    t.equal(await raw(origin, path, headers), 404, path)
  }
})

t.test('many connections and many pages are bounded, and the next one finds room again', async (t) => {
  const { origin, token, ask } = await dashboard(t)
  const stopping = new AbortController()
  const watch = () => ask('/events', { signal: stopping.signal })
  const watching = await Promise.all(Array.from({ length: MAX_WATCHERS }, watch))
  t.ok(watching.every(({ status }) => status === 200))
  const more = await ask('/events')
  t.equal(more.status, 503)
  t.ok(more.headers.has('retry-after'))
  await more.text()
  stopping.abort()

  const sockets = await Promise.all(
    Array.from(
      { length: 2 * MAX_CONNECTIONS },
      () =>
        new Promise<Socket>((done) => {
          const socket = connect(Number(new URL(origin).port), '127.0.0.1', () => done(socket))
          socket.on('error', () => {})
        }),
    ),
  )
  const closed = sockets.map((socket) => new Promise<void>((done) => socket.once('close', () => done())))
  await Promise.any(closed)
  t.pass('what is too much is closed')
  for (const socket of sockets) socket.destroy()
  await Promise.all(closed)
  let status = 0
  // The server hears of each end on its own time.
  for (let i = 0; i < 100 && status !== 200; i++)
    status = await raw(origin, '/metrics', { authorization: `Bearer ${token}`, connection: 'close' }).catch(() => 0)
  t.equal(status, 200)
})

t.test('a port that is taken costs the dashboard, not the peer', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => other.once('listening', done))
  t.teardown(() => void other.close())
  const { port } = other.address() as AddressInfo
  const { warnings, link, metricsPort } = await dashboard(t, { metricsPort: port })
  t.ok(link)
  t.equal(metricsPort, undefined)
  t.equal(warnings.length, 1)
  t.match(warnings[0], new RegExp(`Port ${port} .*another program uses it.*goes on without its metrics`))
})
