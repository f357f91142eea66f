// WebSockets as a second transport: for networks that let nothing but HTTP through.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import t from 'tap'
import { LIMITS } from '../../protocol/limits.ts'
import { startPeer } from './libp2p-peers.ts'
import { member } from './members.ts'
import { bytes, record, text, within } from './recorder.ts'

const TOPIC = '/murmuration/1/ws'
const WS = '/ip4/127.0.0.1/tcp/0/ws'

t.test('peers gossip and pull over WebSockets, and what crosses them is counted', async (t) => {
  const a = await record(await startPeer(t, { listen: [WS] }), TOPIC)
  const b = await record(await startPeer(t, { listen: [] }), TOPIC)
  const [address] = a.network.addresses()
  t.match(address, new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/[1-9]\\d*/ws/p2p/${a.network.self}$`))
  await b.network.connect(address!)
  await Promise.all([a.peer(b.network.self), b.peer(a.network.self)])
  const payload = new Uint8Array(randomBytes(LIMITS.chunkBytes))
  a.network.serve('/test/large/1', async () => payload)
  for (let i = 0; i < 4; i++) t.same(await b.network.request(a.network.self, '/test/large/1', new Uint8Array()), payload)
  for (const bytes of [a.network.traffic().sent, b.network.traffic().received]) {
    t.ok(bytes > 4 * payload.length && bytes < 4.2 * payload.length, `${bytes} bytes`)
  }
  await b.network.publish(TOPIC, bytes('m1'))
  await a.message('m1')
})

t.test('a peer listens for both at once, and each address leads to it', async (t) => {
  const both = await startPeer(t, { listen: ['/ip4/127.0.0.1/tcp/0', WS] })
  both.serve('/test/echo/1', async (body) => body)
  const addresses = both.addresses()
  t.equal(addresses.length, 2)
  t.equal(addresses.filter((address) => address.includes('/ws/')).length, 1)
  for (const address of addresses) {
    const dialler = await startPeer(t)
    await dialler.connect(address)
    t.equal(text(await dialler.request(both.self, '/test/echo/1', bytes('x'))), 'x')
  }
})

t.test('a message longer than any of ours ends its connection before it is taken in; others are served', async (t) => {
  const peer = await startPeer(t, { listen: [WS] })
  const address = peer.addresses()[0]!
  const raw = createConnection({ port: Number(/tcp\/(\d+)/.exec(address)![1]), host: '127.0.0.1' })
  raw.on('error', () => {})
  t.teardown(() => raw.destroy())
  const ask = ['GET / HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  raw.write([...ask, `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, '', ''].join('\r\n'))
  const [answer] = (await within('the answer', once(raw, 'data'))) as [Buffer]
  t.match(answer.toString('latin1'), /^HTTP\/1\.1 101 /)
  const closed = once(raw, 'close')
  // A binary message of 2 MiB: the length alone says so.
  const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 1, 2, 3, 4])
  raw.write(header)
  raw.resume()
  await within('the end of the connection', closed)
  const other = await startPeer(t)
  t.equal(await other.connect(address), peer.self)
})

t.test('who is cut off loses its connection, whoever has dialled', async (t) => {
  const nobody = { isMember: () => false, open: new Set<string>() }
  const [a, b] = [await member(t, { listen: [WS] }), await member(t, { listen: [] })]
  for (const { network } of [a, b]) {
    const stop = new AbortController()
    const connecting = b.network.connect(a.network.addresses()[0]!, { signal: stop.signal })
    await connecting
    await Promise.all([a.peer(b.network.self), b.peer(a.network.self)])
    stop.abort()
    network.admit(nobody)
    await Promise.all([a.gone(b.network.self), b.gone(a.network.self)])
    network.admit({ ...nobody, isMember: () => true })
    for (const { peerEvents } of [a, b]) peerEvents.length = 0
  }
})
