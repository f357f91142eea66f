// Whole peers over the in-memory bus: the loop, its records and its rules, against everything that others may send.
import t from 'tap'
import { ATTACKS } from '../../node/lab/attacks.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { encodeAnnouncement, encodeEvidence } from '../../protocol/gossip.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { hexOf, topicOf } from '../../protocol/task.ts'
import { sealUpdate } from '../../protocol/update.ts'
import { keepAlive } from '../helpers/alive.ts'
import { type BusPeer, busNetwork } from '../helpers/bus-peers.ts'
import { sha256, signerOf } from '../helpers/keys.ts'

keepAlive(t)

const four = { pace: { minPeers: 4, staleness: 2, gatherMinSeconds: 0.2, gatherMaxSeconds: 5, absentAfterSeconds: 3600 } }

async function stopAll(peers: readonly BusPeer[]): Promise<void> {
  await Promise.all(peers.map((peer) => peer.stop()))
}

t.test('four peers that pull in four directions meet in the middle', async (t) => {
  const network = busNetwork(four)
  const peers = await Promise.all(['a', 'b', 'c', 'd'].map((name) => network.add(name)))
  await Promise.all(peers.map((peer) => peer.event('finished')))
  for (const peer of peers) {
    t.ok(Math.abs(peer.peer.model()[0]! - 1.5) < 0.2, `${peer.name} is at ${peer.peer.model()[0]}`)
    t.equal(peer.events.filter((event) => event.type === 'aggregated').length, 5)
  }
  await stopAll(peers)
})

t.test('a payload too large to ride along is pulled in chunks', async (t) => {
  const size = 200_000
  const network = busNetwork({ ...four, stop: { rounds: 2 } }, size)
  const peers = await Promise.all(['a', 'b', 'c', 'd'].map((name) => network.add(name)))
  await Promise.all(peers.map((peer) => peer.event('finished')))
  t.match(await peers[0]!.event('received'), { bytes: size * 4 })
  await stopAll(peers)
})

t.test('attackers in the minority move nobody, whatever they send', async (t) => {
  for (const [name, attack] of Object.entries(ATTACKS)) {
    const network = busNetwork(four)
    const forge = (honest: Parameters<typeof attack.forge>[0]) => attack.forge(honest, attack.scale, 'seed')
    const peers = await Promise.all(['a', 'b', 'c', 'd'].map((peer) => network.add(peer, peer === 'd' ? { forge } : {})))
    const honest = peers.slice(0, 3)
    await Promise.all(honest.map((peer) => peer.event('finished')))
    for (const { peer } of honest)
      t.ok(
        peer.model().every((value) => value >= 0 && value <= 2.5),
        `${name}: ${peer.model()[0]}`,
      )
    await stopAll(peers)
  }
})

t.test('what cannot be believed is counted under its reason and the peer lives on', async (t) => {
  const network = busNetwork({ ...four, byzantineShare: 100, stop: { rounds: 3 } })
  const peers = await Promise.all(['a', 'b', 'c'].map((name) => network.add(name)))
  const topic = topicOf(network.task)
  const mallory = signerOf('mallory')
  const payload = codecOf('float32').encode(new Float32Array(4))
  const ref = { hash: payloadRoot(payload, sha256), length: payload.length, codec: 'float32' }
  const update = (change: object = {}, task = network.task.id) =>
    sealUpdate({ round: 1, payload: ref, final: false, ...change }, task, mallory)
  const unsigned = sealUpdate({ round: 1, payload: ref, final: false }, network.task.id, { ...mallory, sign: () => new Uint8Array(64) })
  const known = sealUpdate({ round: 1, payload: ref, final: false }, network.task.id, mallory)
  const [victim] = peers
  const rejects = async (code: string, message: Uint8Array) => {
    const event = victim!.event('rejected', (event) => event.code === code)
    // Each from another neighbour: one that sent all of this would soon not be listened to any more. In an open network all count as members.
    const stranger = network.bus.network(signerOf(code).peerId)
    await stranger.start()
    await stranger.subscribe(topic, { validate: () => 'ignore', messageId: sha256 })
    await stranger.publish(topic, message)
    t.match(await event, { code })
    await stranger.stop()
  }
  await rejects('malformed', new TextEncoder().encode('\u0001\u0002 hello'))
  await rejects('bad-signature', encodeAnnouncement(unsigned.envelope, payload))
  await rejects('wrong-task', encodeAnnouncement(update({}, sha256(payload)).envelope, payload))
  await rejects('bad-ref', encodeAnnouncement(update({ payload: { ...ref, length: 4096 } }).envelope, payload))
  await rejects(
    'bad-inline',
    encodeAnnouncement(
      known.envelope,
      Uint8Array.from(payload, () => 7),
    ),
  )
  await rejects('bad-evidence', encodeEvidence(known.envelope, known.envelope))
  await rejects('too-large', encodeAnnouncement(new Uint8Array(LIMITS.recordBytes + 1), payload))

  const last = await network.add('d')
  await Promise.all([...peers, last].map((peer) => peer.event('finished')))
  await stopAll([...peers, last])
})

t.test('an author of two updates for one round is shut out by everyone, and the proof spreads', async (t) => {
  const network = busNetwork({ ...four, stop: { rounds: 3 } })
  const peers = await Promise.all(['a', 'b', 'c'].map((name) => network.add(name)))
  const mallory = signerOf('mallory')
  const liar = network.bus.network(mallory.peerId)
  await liar.start()
  const topic = topicOf(network.task)
  await liar.subscribe(topic, { validate: () => 'accept', messageId: sha256 })
  for (const value of [1, 2]) {
    const payload = codecOf('float32').encode(new Float32Array(4).fill(value))
    const ref = { hash: payloadRoot(payload, sha256), length: payload.length, codec: 'float32' }
    const { envelope } = sealUpdate({ round: 1, payload: ref, final: false }, network.task.id, mallory)
    await liar.publish(topic, encodeAnnouncement(envelope, payload))
  }
  await Promise.all(peers.map((peer) => peer.event('equivocation', (event) => event.author === mallory.peerId)))
  const late = await network.add('d')
  await late.event('equivocation')
  await Promise.all([...peers, late].map((peer) => peer.event('finished')))
  for (const peer of peers) {
    const inputs = peer.events.flatMap((event) => (event.type === 'aggregated' ? event.inputs : []))
    t.notOk(inputs.some((input) => input.author === mallory.peerId))
  }
  await stopAll([...peers, late])
  await liar.stop()
})

t.test('a restarted peer tells the same bytes again and signs nothing twice', async (t) => {
  const network = busNetwork({ ...four, stop: { rounds: 6 } })
  const peers = await Promise.all(['a', 'b', 'c', 'd'].map((name) => network.add(name)))
  const [first] = peers
  await first!.event('published', (event) => event.round === 2)
  await first!.stop()
  const signed = await first!.store.loadAnnouncement()
  const again = await network.add('a', { store: first!.store })
  t.same(await first!.store.loadAnnouncement(), signed, 'nothing is signed anew')
  await Promise.all([again, ...peers.slice(1)].map((peer) => peer.event('finished')))
  t.notOk([again, ...peers.slice(1)].some((peer) => peer.events.some((event) => event.type === 'equivocation')))
  await stopAll([again, ...peers.slice(1)])
})

t.test('a directory that is older than what its peer has signed is not used to sign again', async (t) => {
  const network = busNetwork({ ...four, stop: { rounds: 40 } })
  const peers = await Promise.all(['a', 'b', 'c', 'd'].map((name) => network.add(name)))
  await peers[0]!.event('aggregated', (event) => event.round === 3)
  await peers[0]!.stop()
  const copy = await network.add('a')
  await t.rejects(copy.peer.finished, { code: 'directory-invalid', message: /copy or an old backup/ })
  await stopAll([copy, ...peers.slice(1)])
})

t.test('a lone peer waits and says for whom', async (t) => {
  const network = busNetwork(four)
  const peer = await network.add('a')
  t.match(await peer.event('phase', (event) => event.phase === 'waiting'), { waitingFor: /3 more of 4 peers/ })
  t.match(peer.peer.status(), { phase: 'waiting', round: 0, name: 'test' })
  await peer.stop()
})

t.test('only payloads that someone may still ask for are kept', async (t) => {
  const network = busNetwork({ ...four, stop: { rounds: 12 } })
  const kept = new Set<string>()
  const peers = await Promise.all(['a', 'b', 'c', 'd'].map((name) => network.add(name)))
  await Promise.all(peers.map((peer) => peer.event('finished')))
  for (const event of peers[0]!.events) if (event.type === 'received') kept.add(`${event.author} ${event.round}`)
  t.ok(kept.size > 20, 'many payloads passed through')
  const { store } = peers[0]!
  const early = codecOf('float32').encode(new Float32Array(4).fill(0))
  t.equal(await store.getObject(hexOf(payloadRoot(early, sha256))), undefined)
  await stopAll(peers)
})
