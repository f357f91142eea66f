// The libp2p host: the promises of every network, and a regression test for each trap of libp2p that would break one without a word.
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { byteStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import t, { type Test } from 'tap'
import { createTopics } from '../../node/host/gossip.ts'
import { createLibp2pNetwork } from '../../node/host/libp2p-network.ts'
import { createNode, GOSSIP_FRAME_BYTES, type Node } from '../../node/host/libp2p-node.ts'
import type { Network } from '../../node/ports.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { networkConformance } from './conformance.ts'
import { startPeer, startReviving } from './libp2p-peers.ts'
import { bytes, createWatch, type Recorder, record, text, within } from './recorder.ts'

const TOPIC = '/murmuration/1/libp2p'

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

/** A bare libp2p node: what somebody else's program, or an attacker's, can do. */
async function stranger(t: Test): Promise<Node> {
  const topics = createTopics()
  const node = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce: [],
    meter: { received: 0, sent: 0 },
    rules: { ...topics, inbound: (_, message) => message },
  })
  t.teardown(() => node.stop())
  await node.start()
  return node
}

/** Connects a stranger to a subscriber, until both know that the other subscribes to the topic. */
async function intrude(node: Node, recorder: Recorder): Promise<void> {
  const { gossip } = node.services
  const { changed, until } = createWatch()
  gossip.addEventListener('subscription-change', changed)
  gossip.subscribe(TOPIC)
  await node.dial(multiaddr(recorder.network.addresses()[0]!))
  await recorder.peer(node.peerId.toString())
  await until('the subscription', () => gossip.getSubscribers(TOPIC).some((peer) => peer.toString() === recorder.network.self))
  gossip.removeEventListener('subscription-change', changed)
}

t.test('traps 1 and 9: fifteen peers behind one address all connect at once and all hear each other', async (t) => {
  const hub = await startPeer(t)
  const leaves = await Promise.all(Array.from({ length: 14 }, () => startPeer(t)))
  const recorders = await Promise.all([hub, ...leaves].map((network) => record(network, TOPIC)))
  const failures: string[] = []
  await Promise.all(leaves.map((leaf) => leaf.connect(hub.addresses()[0]!, { onRetry: (_, __, why) => failures.push(why) })))
  t.same(failures, [], 'no dial failed')
  const [center, ...others] = recorders
  await Promise.all(others.flatMap((other) => [other.peer(hub.self), center!.peer(other.network.self)]))
  await Promise.all(recorders.map((sender, i) => sender.network.publish(TOPIC, bytes(`m${i}`))))
  // The hub's mesh holds twelve at most: the others hear through the next heartbeat.
  await Promise.all(recorders.flatMap((recorder, j) => recorders.map((_, i) => i === j || recorder.message(`m${i}`))))
})

t.test('trap 2: a peer whose messages are rejected is soon not listened to any more, and others are', async (t) => {
  const [judge, liar, honest] = await Promise.all([startPeer(t), startPeer(t), startPeer(t)])
  const judged = await record(judge!, TOPIC, (message) => (message.startsWith('bad') ? 'reject' : 'accept'))
  const recorders = await Promise.all([liar!, honest!].map((network) => record(network, TOPIC)))
  await Promise.all([liar!, honest!].map((network) => network.connect(judge!.addresses()[0]!)))
  await Promise.all(recorders.map((recorder) => recorder.peer(judge!.self)))
  let unheard = 0
  for (let i = 0; unheard < 5; i++) {
    if (i === 5000) t.fail('the liar is still heard')
    await liar!.publish(TOPIC, bytes(`bad${i}`))
    await honest!.publish(TOPIC, bytes(`good${i}`))
    await judged.message(`good${i}`)
    unheard = judged.messages.includes(`bad${i}`) ? 0 : unheard + 1
  }
  t.ok(judged.messages.some((message) => message.startsWith('bad')))
})

t.test('traps 3 and 4: a gossip frame that is too long costs a new connection, not the gossip of the pair', async (t) => {
  const network = await startPeer(t)
  const recorder = await record(network, TOPIC)
  const node = await stranger(t)
  const { until, changed } = createWatch()
  const self = node.peerId.toString()
  await intrude(node, recorder)
  let lost = false
  node.addEventListener('peer:disconnect', () => {
    lost = true
    changed()
  })
  const stream = await node.dialProtocol(peerIdFromString(network.self), node.services.gossip.protocols[0]!)
  stream.send(varint(GOSSIP_FRAME_BYTES + 1))
  await recorder.gone(self)
  await until('the connection is begun anew', () => lost)
  recorder.peerEvents.length = 0
  await intrude(node, recorder)
  await node.services.gossip.publish(TOPIC, bytes('m1'))
  await recorder.message('m1')
})

t.test('a message above the limit from a program that does not check is not even judged', async (t) => {
  const network = await startPeer(t)
  const recorder = await record(network, TOPIC)
  const node = await stranger(t)
  await intrude(node, recorder)
  await node.services.gossip.publish(TOPIC, bytes(`huge ${'x'.repeat(LIMITS.gossipBytes)}`))
  await node.services.gossip.publish(TOPIC, bytes('m1'))
  await recorder.message('m1')
  t.same(recorder.messages, ['m1'])
})

t.test('trap 13: an address without a peer id is dialled, and the handshake says whose it is', async (t) => {
  const { network, address } = await startReviving(t)
  const peer = await startPeer(t)
  t.equal(await peer.connect(address.slice(0, address.indexOf('/p2p/'))), network.self)
  const own = peer.addresses()[0]!
  await t.rejects(within('the refusal', peer.connect(own.slice(0, own.indexOf('/p2p/')))), { code: 'bad-join-line' })
})

t.test('an address where another peer answers is retried, and says so', async (t) => {
  const [a, b] = await Promise.all([startPeer(t), startPeer(t)])
  const wrong = b!.addresses()[0]!.replace(b!.self, a!.self)
  const c = await startPeer(t)
  const { promise, resolve } = Promise.withResolvers<string>()
  const connecting = c.connect(wrong, { onRetry: (_, __, why) => resolve(why) })
  connecting.catch(() => {})
  t.match(await within('the reason', promise), /another peer/)
})

t.test('trap 13: addresses are complete, and none is only for this machine where a better one is known', async (t) => {
  const everywhere = await startPeer(t, { listen: ['/ip4/0.0.0.0/tcp/0'] })
  const found = everywhere.addresses()
  t.ok(found.every((address) => address.endsWith(`/p2p/${everywhere.self}`) && !address.includes('/0.0.0.0/')))
  const loopback = found.filter((address) => address.startsWith('/ip4/127.'))
  t.same(found.slice(-loopback.length), loopback, 'loopback addresses come last')
  const announced = await startPeer(t, { announce: ['/dns4/peer.example/tcp/4001'] })
  t.equal(announced.addresses()[0], `/dns4/peer.example/tcp/4001/p2p/${announced.self}`)
  t.match(announced.addresses()[1], /^\/ip4\/127\.0\.0\.1\//)
  const dialler = await startPeer(t)
  t.equal(await within('the connection', dialler.connect(found.at(-1)!)), everywhere.self)
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

t.test('six peers that know one address find each other', async (t) => {
  const networks = await Promise.all(Array.from({ length: 6 }, () => startPeer(t, { discovery: true })))
  const recorders = await Promise.all(networks.map((network) => record(network, TOPIC)))
  const began = performance.now()
  await Promise.all(networks.slice(1).map((network) => network.connect(networks[0]!.addresses()[0]!)))
  await Promise.all(recorders.map((recorder) => recorder.until('five peers', () => recorder.network.peers().length === 5)))
  t.comment(`fully meshed after ${Math.round(performance.now() - began)} ms`)
  const late = await record(await startPeer(t, { discovery: true }), TOPIC)
  await late.network.connect(networks[0]!.addresses()[0]!)
  await late.until('six peers', () => late.network.peers().length === 6)
})

t.test('members that met through a bootstrap find each other again when it is gone', async (t) => {
  const bootstrap = await startPeer(t, { discovery: true })
  await record(bootstrap, TOPIC)
  const stays = await record(await startPeer(t, { discovery: true }), TOPIC)
  const restarts = await startReviving(t, { discovery: true })
  await record(restarts.network, TOPIC)
  await Promise.all([stays.network, restarts.network].map((network) => network.connect(bootstrap.addresses()[0]!)))
  await stays.peer(restarts.network.self)
  await bootstrap.stop()
  await stays.gone(bootstrap.self)
  // One that knows only the second and finds the third: the second can tell where that is.
  const witness = await record(await startPeer(t, { discovery: true }), TOPIC)
  await witness.network.connect(stays.network.addresses()[0]!)
  await witness.peer(restarts.network.self)
  await witness.network.stop()
  await restarts.network.stop()
  await stays.gone(restarts.network.self)
  stays.peerEvents.length = 0
  await record(await restarts.revive(), TOPIC)
  await stays.peer(restarts.network.self)
})

t.test('what is not our protocol ends its stream; the connection, the peer and the port live on', async (t) => {
  const network = await startPeer(t)
  let handled = 0
  network.serve('/test/echo/1', async (body) => {
    handled++
    return body
  })
  const node = await stranger(t)
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
  const node = await stranger(t)
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
  for (const protocol of ['/test/long/1', '/test/flood/1']) {
    await t.rejects(within('the refusal', network.request(peer, protocol, bytes('x'))), { code: 'limit-exceeded' })
  }
})

t.test('topics that we do not subscribe to are not relayed and not kept', async (t) => {
  const network = await startPeer(t)
  const recorder = await record(network, TOPIC)
  const [a, b] = await Promise.all([stranger(t), stranger(t)])
  const seen: string[] = []
  for (const node of [a!, b!]) {
    node.services.gossip.subscribe('elsewhere')
    node.services.gossip.addEventListener('message', ({ detail }) => seen.push(detail.topic))
    await intrude(node, recorder)
  }
  await a!.services.gossip.publish('elsewhere', bytes('m1'))
  await a!.services.gossip.publish(TOPIC, bytes('m2'))
  await recorder.message('m2')
  t.same(recorder.messages, ['m2'])
  t.notOk(seen.includes('elsewhere'))
})

/** The length of a request's or response's frame. */
function uint32(length: number): Uint8Array {
  const prefix = new Uint8Array(4)
  new DataView(prefix.buffer).setUint32(0, length)
  return prefix
}

/** The length of a gossip frame. */
function varint(length: number): Uint8Array {
  const out: number[] = []
  let rest = length
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128)
  return Uint8Array.from([...out, rest])
}
