// The network port over libp2p: the promises of every network, and what only one of real sockets can get wrong.
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { byteStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import t, { type Test } from 'tap'
import { createLibp2pNetwork } from '../../node/host/libp2p-network.ts'
import type { Network } from '../../node/ports.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { bareNode } from './bare-node.ts'
import { networkConformance } from './conformance.ts'
import { startPeer, startReviving, uint32 } from './libp2p-peers.ts'
import { bytes, text, within } from './recorder.ts'

t.test('conformance', (t) => {
  const started = (t: Test, count: number) => Promise.all(Array.from({ length: count }, () => startPeer(t)))
  networkConformance(t, {
    async row(t, count) {
      const networks = await started(t, count)
      await Promise.all(networks.slice(1).map((network, i) => network.connect(networks[i]!.addresses()[0]!)))
      await Promise.all(networks.flatMap((a, i) => networks.map((b, j) => Math.abs(i - j) === 1 && linked(a, b))))
      return networks
    },
    async mesh(t, count) {
      const networks = await started(t, count)
      const links = networks.flatMap((network, i) => networks.slice(0, i).map((other) => network.connect(other.addresses()[0]!)))
      await Promise.all(links)
      await Promise.all(networks.flatMap((a) => networks.map((b) => a !== b && linked(a, b))))
      return networks
    },
    reviving: (t) => startReviving(t),
  })
  t.end()
})

/** The side that was dialled knows of the connection a moment later than the one that dialled. */
async function linked(a: Network, b: Network): Promise<void> {
  const end = performance.now() + 10_000
  while (!a.connections().includes(b.self)) {
    if (performance.now() > end) throw new Error(`${a.self} is not connected to ${b.self}`)
    await nextTurn()
  }
}

t.test('an address where another peer answers is retried, and says so', async (t) => {
  const [a, b] = await Promise.all([startPeer(t), startPeer(t)])
  const wrong = b!.addresses()[0]!.replace(b!.self, a!.self)
  const c = await startPeer(t)
  const { promise, resolve } = Promise.withResolvers<string>()
  const connecting = c.connect(wrong, { onRetry: (_, __, why) => resolve(why) })
  connecting.catch(() => {})
  t.match(await within('the reason', promise), /another peer/)
})

t.test('a port that is taken is said in one sentence', async (t) => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const network = createLibp2pNetwork({ privateKey: await generateKeyPair('Ed25519'), listen: [`/ip4/127.0.0.1/tcp/${port}`] })
  await t.rejects(network.start(), { code: 'port-in-use', message: new RegExp(`/ip4/127\\.0\\.0\\.1/tcp/${port} .*--listen`) })
  await network.stop()
  const elsewhere = createLibp2pNetwork({ privateKey: await generateKeyPair('Ed25519'), listen: ['/ip4/203.0.113.5/tcp/4001'] })
  await t.rejects(elsewhere.start(), { code: 'bad-argument', message: /203\.0\.113\.5/ })
  for (const listen of ['nonsense', '/ip4/999.0.0.1/tcp/1', '/ip4/0.0.0.0/udp/1']) {
    t.throws(() => createLibp2pNetwork({ privateKey: {} as never, listen: [listen] }), /./)
  }
})

t.test('a stopped network frees its port and can start again', async (t) => {
  const { network, address } = await startReviving(t)
  await network.stop()
  const again = createServer()
  again.listen(Number(multiaddr(address).getComponents()[1]?.value), '127.0.0.1')
  await once(again, 'listening')
  again.close()
  await once(again, 'close')
  await network.start()
  t.ok(network.addresses().length > 0)
})

t.test('what is not our protocol ends its stream; the connection, the peer and the port live on', async (t) => {
  const network = await startPeer(t)
  let handled = 0
  network.serve('/test/echo/1', async (body) => {
    handled++
    return body
  })
  const node = await bareNode(t)
  await node.dial(multiaddr(network.addresses()[0]!))
  const peer = peerIdFromString(network.self)
  const connection = node.getConnections(peer)[0]!
  for (const garbage of [uint32(LIMITS.requestBytes + 1), new Uint8Array(100).fill(255), new Uint8Array(200_000).fill(1)]) {
    const stream = await node.dialProtocol(peer, '/test/echo/1')
    const ended = new Promise<void>((resolve) => stream.addEventListener('close', () => resolve()))
    try {
      stream.send(garbage)
    } catch {
      // The other side may have ended it already.
    }
    await within('the end of the stream', ended)
  }
  t.equal(handled, 0)
  t.equal(connection.status, 'open')
  const raw = createConnection({ port: Number(multiaddr(network.addresses()[0]!).getComponents()[1]?.value), host: '127.0.0.1' })
  raw.on('error', () => {})
  raw.write('GET / HTTP/1.1\r\n'.repeat(20))
  await within('the end of the connection', new Promise((resolve) => raw.on('close', resolve)))
  const other = await startPeer(t)
  await other.connect(network.addresses()[0]!)
  t.equal(text(await other.request(network.self, '/test/echo/1', bytes('x'))), 'x')
})

t.test('an answer above the limit is dropped before it is buffered', async (t) => {
  const node = await bareNode(t)
  const network = await startPeer(t)
  const answer = (send: (stream: Stream) => void) => async (stream: Stream) => {
    await byteStream(stream).read()
    send(stream)
  }
  await node.handle(
    '/test/long/1',
    answer((stream) => stream.send(uint32(2 ** 30))),
  )
  await node.handle(
    '/test/flood/1',
    answer((stream) => {
      stream.send(uint32(LIMITS.responseBytes))
      stream.send(new Uint8Array(2 * LIMITS.responseBytes))
    }),
  )
  const peer = await network.connect(node.getMultiaddrs()[0]!.toString())
  await t.rejects(within('the refusal', network.request(peer, '/test/long/1', bytes('x'))), { code: 'limit-exceeded' })
  // More than was asked for: it is dropped, whether the answer was whole by then or not.
  const flood = await within('the flood', network.request(peer, '/test/flood/1', bytes('x'))).catch((error: unknown) => error)
  if (flood instanceof Uint8Array) t.equal(flood.length, LIMITS.responseBytes - 1)
  else t.match(flood, { code: 'limit-exceeded' })
})
