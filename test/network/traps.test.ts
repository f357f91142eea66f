// What bites those who build on js-libp2p, each trap with what must happen instead. (7: standstill.test.ts; 8: conformance.ts, connect; 10 and 14: reach and strangers.)
import type { Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import t from 'tap'
import { GOSSIP_FRAME_BYTES } from '../../node/host/gossip-options.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { bareNode } from './bare-node.ts'
import { intrude, meetLoseAndFind, startPeer, startReviving, uint32 } from './libp2p-peers.ts'
import { bytes, createWatch, record, within } from './recorder.ts'

const TOPIC = '/murmuration/1/traps'

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
  const node = await bareNode(t)
  const { until, changed } = createWatch()
  const self = node.peerId.toString()
  await intrude(node, recorder, TOPIC)
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
  await intrude(node, recorder, TOPIC)
  await node.services.gossip.publish(TOPIC, bytes('m1'))
  await recorder.message('m1')
})

t.test('a message above the limit from a program that does not check is not even judged', async (t) => {
  const network = await startPeer(t)
  const recorder = await record(network, TOPIC)
  const node = await bareNode(t)
  await intrude(node, recorder, TOPIC)
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

t.test('trap 12: members are dialled where they say that they are, and again after a restart', async (t) => {
  const stays = await record(await startPeer(t, { discovery: true }), TOPIC)
  await meetLoseAndFind(t, stays, TOPIC)
  // Whoever is forgotten is not dialled any more.
  const other = await startPeer(t)
  stays.network.learn(other.self, other.addresses())
  stays.network.learn(other.self, [])
  const third = await record(await startPeer(t), TOPIC)
  stays.network.learn(third.network.self, third.network.addresses())
  await stays.peer(third.network.self)
  t.notOk(stays.network.connections().includes(other.self))
})

t.test('traps 5 and 6: answers that an asker does not read pile up to a bound, and others are answered', async (t) => {
  const network = await startPeer(t)
  let handled = 0
  network.serve('/test/large/1', async () => {
    handled++
    return new Uint8Array(LIMITS.responseBytes)
  })
  const node = await bareNode(t)
  const connection = await node.dial(multiaddr(network.addresses()[0]!))
  const streams: Stream[] = []
  for (let i = 0; i < 3 * LIMITS.requestsInFlight; i++)
    streams.push(await connection.newStream('/test/large/1'))
    // Nothing is read off the socket any more, so that not even the operating system takes an answer.
  ;(connection as unknown as { maConn: { pause(): void } }).maConn.pause()
  for (const stream of streams) stream.send(uint32(0))
  const other = await startPeer(t)
  await other.connect(network.addresses()[0]!)
  t.equal((await other.request(network.self, '/test/large/1', new Uint8Array())).length, LIMITS.responseBytes)
  // One is the other's; some of the first may lie in the socket's buffers by now.
  t.ok(handled > 1 && handled < 2 * LIMITS.requestsInFlight, `${handled} answers were made`)
})

t.test('topics that we do not subscribe to are not relayed and not kept', async (t) => {
  const network = await startPeer(t)
  const recorder = await record(network, TOPIC)
  const [a, b] = await Promise.all([bareNode(t), bareNode(t)])
  const seen: string[] = []
  for (const node of [a!, b!]) {
    node.services.gossip.subscribe('elsewhere')
    node.services.gossip.addEventListener('message', ({ detail }) => seen.push(detail.topic))
    await intrude(node, recorder, TOPIC)
  }
  await a!.services.gossip.publish('elsewhere', bytes('m1'))
  await a!.services.gossip.publish(TOPIC, bytes('m2'))
  await recorder.message('m2')
  t.same(recorder.messages, ['m2'])
  t.notOk(seen.includes('elsewhere'))
})

/** The length of a gossip frame. */
function varint(length: number): Uint8Array {
  const out: number[] = []
  let rest = length
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128)
  return Uint8Array.from([...out, rest])
}
