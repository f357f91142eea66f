// The control socket: how every command asks a running peer. A Unix socket that only its owner may open. A client sends one line,
// {"method", "params"}, and gets one: {"result"}, {"error": {"code", "message"}}, or {"starting"} with what the peer is doing until it can be
// asked; for `events` a line an event until it leaves.
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, rm } from 'node:fs/promises'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { z } from 'zod'
import { ERROR_CODES, type ErrorCode, isMurmurError, MurmurError } from '../../protocol/errors.ts'
import type { PeerEvent } from '../events.ts'

/** Bytes of a Unix socket's path that every system allows. */
const MAX_SOCKET_PATH = 100
/** Bytes of a request line: a join line is the longest that is sent. */
const MAX_REQUEST = 8192
/** Bytes of events that a client may leave unread. */
const MAX_UNREAD = 4 * 1024 * 1024
/** Milliseconds a client may take to ask, and a running peer to answer: it may have to write to a slow disk. */
const ASK_MILLIS = 5000
const ANSWER_MILLIS = 15_000
/** Milliseconds for which a client waits for a peer that starts, and between two questions. */
const STARTING_MILLIS = 15_000
const ASK_AGAIN_MILLIS = 250

const request = z.strictObject({ method: z.string().max(40), params: z.record(z.string(), z.unknown()).default({}) })
const answer = z.union([
  z.strictObject({ result: z.unknown() }),
  z.strictObject({ starting: z.string() }),
  z.strictObject({ error: z.strictObject({ code: z.string(), message: z.string() }) }),
])

type Params = Record<string, unknown>
export type Methods = Record<string, (params: Params) => unknown>

/** A running peer, as far as its clients see it. */
export interface Controlled {
  /** What it can be asked; before it is up, what it is doing. */
  methods(): Methods | string
  subscribe(listener: (event: PeerEvent) => void): () => void
}

/** The socket of a peer's directory: inside it, or in a private folder of the temporary one where the path would be too long. */
function socketPath(dir: string): { path: string; folder?: string } {
  const inside = join(resolve(dir), 'murmur.sock')
  if (Buffer.byteLength(inside) <= MAX_SOCKET_PATH) return { path: inside }
  const name = createHash('sha256').update(resolve(dir)).digest('hex').slice(0, 16)
  const folder = join(tmpdir(), `murmur-${process.getuid?.() ?? 0}-${name}`)
  return { path: join(folder, 's'), folder }
}

/** Call only while the directory's lock is held. */
export async function serveControl(dir: string, { methods, subscribe }: Controlled): Promise<() => Promise<void>> {
  const { path, folder } = socketPath(dir)
  if (folder !== undefined) await makePrivate(folder)
  await rm(path, { force: true })
  const sockets = new Set<Socket>()

  async function answerTo(line: string, socket: Socket): Promise<void> {
    try {
      const { method, params } = readRequest(line)
      if (method === 'events') {
        socket.on(
          'close',
          subscribe((event) => {
            socket.write(`${JSON.stringify(event)}\n`)
            // A client that is suspended reads nothing, for as long as it likes.
            if (socket.writableLength > MAX_UNREAD) socket.destroy()
          }),
        )
        return
      }
      const known = methods()
      if (typeof known === 'string') return void socket.end(`${JSON.stringify({ starting: known })}\n`)
      const handler = Object.hasOwn(known, method) ? known[method] : undefined
      if (handler === undefined) throw new MurmurError('bad-argument', `A peer knows nothing of "${method}"; update Murmuration.`)
      socket.end(`${JSON.stringify({ result: (await handler(params)) ?? null })}\n`)
    } catch (error) {
      const { code, message } = isMurmurError(error) ? error : new MurmurError('internal', `The peer failed: ${String(error)}.`)
      socket.end(`${JSON.stringify({ error: { code, message } })}\n`)
    }
  }

  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.setTimeout(ASK_MILLIS, () => socket.destroy())
    let pending = ''
    const read = (text: string) => {
      pending += text
      if (pending.length > MAX_REQUEST) socket.destroy()
      const end = pending.indexOf('\n')
      if (end < 0) return
      // One request a connection; the client's end of it is how it leaves.
      socket.off('data', read).resume().setTimeout(0)
      void answerTo(pending.slice(0, end), socket)
    }
    socket.setEncoding('utf8').on('data', read)
  })
  await new Promise<void>((done, failed) => {
    server.once('error', (cause) =>
      failed(new MurmurError('disk-failed', `The control socket ${path} cannot be opened: ${cause.message}.`, { cause })),
    )
    server.listen(path, done)
  })
  // Where no more files can be opened, a client is not taken in; the peer goes on.
  server.on('error', () => {})
  await chmod(path, 0o600)
  server.unref()
  return async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise<void>((done) => server.close(() => done()))
    await rm(path, { force: true })
  }
}

/** The folder in the shared temporary directory must be ours alone. */
async function makePrivate(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = await lstat(folder)
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) {
    throw new MurmurError('disk-failed', `${folder} belongs to someone else; remove it, or use a peer directory with a shorter path.`)
  }
}

/** @throws bad-argument */
function readRequest(line: string): z.output<typeof request> {
  try {
    return request.parse(JSON.parse(line))
  } catch (cause) {
    throw new MurmurError('bad-argument', 'A request is one line of JSON with "method" and "params".', { cause })
  }
}

/**
 * Asks the peer that runs in `dir`; one that starts is waited for a while.
 * @param say is told once what is waited for
 * @throws not-running, and what the peer answers with
 */
export async function askPeer<T>(dir: string, method: string, params: Params = {}, say: (text: string) => void = () => {}): Promise<T> {
  const until = performance.now() + STARTING_MILLIS
  for (let asked = 0; ; asked++) {
    const answered = await askOnce(dir, method, params)
    if ('result' in answered) return answered.result as T
    if ('error' in answered) {
      const { code, message } = answered.error
      throw new MurmurError(code in ERROR_CODES ? (code as ErrorCode) : 'internal', message)
    }
    const what = `The peer in ${resolve(dir)} is still starting (${answered.starting.replace(/[ .]+$/, '')})`
    if (performance.now() >= until) throw new MurmurError('not-running', `${what}; ask again once it is up.`)
    if (asked === 0) say(`${what}; waiting for it ...`)
    await setTimeout(ASK_AGAIN_MILLIS)
  }
}

/** @throws not-running */
async function askOnce(dir: string, method: string, params: Params): Promise<z.output<typeof answer>> {
  const socket = createConnection(socketPath(dir).path).setTimeout(ANSWER_MILLIS, () => socket.destroy(new Error('it does not answer')))
  try {
    await new Promise<void>((done, failed) => socket.once('connect', done).once('error', failed))
    socket.write(`${JSON.stringify({ method, params })}\n`)
    for await (const line of createInterface({ input: socket })) return answer.parse(JSON.parse(line))
    throw new Error('it closed the connection')
  } catch (cause) {
    throw new MurmurError('not-running', `No peer runs in ${resolve(dir)}; start it with \`npx murmur start ${dir}\`.`, { cause })
  } finally {
    socket.destroy()
  }
}
