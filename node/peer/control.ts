// The control socket: how every command asks a running peer. A Unix socket that only its owner may open; one JSON request a line.
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, rm } from 'node:fs/promises'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerEvent } from '../events.ts'
import type { Peer, PeerStatus } from './peer.ts'

/** Bytes of a Unix socket's path that every system allows. */
const MAX_SOCKET_PATH = 100
/** Bytes of a request line: a method's name and little else. */
const MAX_REQUEST = 4096

/** Milliseconds a running peer may take to answer. */
const ANSWER_MILLIS = 5000

/** The socket of a peer's directory: inside it, or in a private folder of the temporary one where the path would be too long. */
function socketPath(dir: string): { path: string; folder?: string } {
  const inside = join(resolve(dir), 'murmur.sock')
  if (Buffer.byteLength(inside) <= MAX_SOCKET_PATH) return { path: inside }
  const name = createHash('sha256').update(resolve(dir)).digest('hex').slice(0, 16)
  const folder = join(tmpdir(), `murmur-${process.getuid?.() ?? 0}-${name}`)
  return { path: join(folder, 's'), folder }
}

/** Serves `status` (one answer) and `events` (a line an event until the client leaves). Call only while the directory's lock is held. */
export async function serveControl(dir: string, peer: Peer): Promise<() => Promise<void>> {
  const { path, folder } = socketPath(dir)
  if (folder !== undefined) await makePrivate(folder)
  await rm(path, { force: true })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    let pending = ''
    socket.setEncoding('utf8').on('data', (text: string) => {
      pending += text
      if (pending.length > MAX_REQUEST) socket.destroy()
      const end = pending.indexOf('\n')
      if (end < 0) return
      const method = pending.slice(0, end).trim()
      pending = ''
      if (method === 'status') socket.end(`${JSON.stringify(peer.status())}\n`)
      else if (method === 'events') {
        const end = peer.subscribe((event: PeerEvent) => socket.write(`${JSON.stringify(event)}\n`))
        socket.on('close', end)
      } else socket.end(`${JSON.stringify({ error: `unknown request "${method.slice(0, 40)}"` })}\n`)
    })
  })
  await new Promise<void>((done, failed) => {
    server.once('error', (cause) =>
      failed(new MurmurError('disk-failed', `The control socket ${path} cannot be opened: ${cause.message}.`, { cause })),
    )
    server.listen(path, done)
  })
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

/** Asks the peer that runs in `dir`. @throws not-running */
export async function askStatus(dir: string): Promise<PeerStatus> {
  const socket = createConnection(socketPath(dir).path).setTimeout(ANSWER_MILLIS, () => socket.destroy(new Error('it does not answer')))
  try {
    await new Promise<void>((done, failed) => socket.once('connect', done).once('error', failed))
    socket.write('status\n')
    for await (const line of createInterface({ input: socket })) return JSON.parse(line) as PeerStatus
    throw new Error('it closed the connection')
  } catch (cause) {
    throw new MurmurError('not-running', `No peer runs in ${resolve(dir)}; start it with \`npx murmur start ${dir}\`.`, { cause })
  } finally {
    socket.destroy()
  }
}
