// Someone who knows a member's address and is none: it may say who it is, ping, and ask to join; it gets nothing else, and is cut off.
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import t, { type Test } from 'tap'
import type { Node } from '../../node/host/libp2p-node.ts'
import { createPayloadExchange, PAYLOAD_PROTOCOL } from '../../node/host/payload-exchange.ts'
import { requestOver } from '../../node/host/requests.ts'
import { createAdmission } from '../../node/peer/admission.ts'
import { systemClock } from '../../node/peer/clock.ts'
import { RECORDS_PROTOCOL } from '../../node/peer/exchange.ts'
import { createMemberBook } from '../../node/peer/member-book.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { encodeAnnouncement } from '../../protocol/gossip.ts'
import { JOIN_PROTOCOL, TASK_PROTOCOL } from '../../protocol/join.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { sealMembership } from '../../protocol/membership.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { topicOf } from '../../protocol/task.ts'
import { sealUpdate } from '../../protocol/update.ts'
import { type BusNetwork, busNetwork } from '../helpers/bus-peers.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'
import { bareNode } from './bare-node.ts'
import { startPeer } from './libp2p-peers.ts'
import { eventually, record } from './recorder.ts'

/** Rounds as quick as they come, without end. */
const QUICK: Partial<Manifest> = {
  admission: { mode: 'invite', admins: [] },
  byzantineShare: 0,
  stop: { never: true },
  pace: { minPeers: 2, staleness: 2, gatherMinSeconds: 1, gatherMaxSeconds: 10, absentAfterSeconds: 3600 },
}
const NAMES = ['a', 'b']
const random = { bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) }

/** A whole member over libp2p. */
async function member(t: Test, { task, add }: BusNetwork, name: string) {
  const store = memoryStore()
  const network = await startPeer(t, { privateKey: await generateKeyPairFromSeed('Ed25519', sha256(Buffer.from(name))) })
  const book = await createMemberBook({ task, store, verify: verifier, clock: systemClock })
  for (const each of NAMES) {
    const { envelope } = sealMembership({ key: signerOf(each).publicKey, role: 'peer', issuedAt: 1 }, task.id, signerOf('founder'))
    book.take({ kind: 'membership', envelope })
  }
  const parts = { network, task, book, signer: signerOf(name), founder: undefined, store, clock: systemClock, random, verify: verifier }
  const admission = await createAdmission({ ...parts, round: () => 1, tell() {} })
  admission.serve()
  const exchange = createPayloadExchange({ network, store, task: task.id, hash: sha256, clock: systemClock })
  const peer = await add(name, { network, store, members: book, exchange })
  t.teardown(() => peer.stop())
  return { ...peer, network }
}

t.test('an outsider that subscribes, publishes and asks for everything gets nothing, is disconnected, and disturbs nobody', async (t) => {
  const limits = LIMITS as { -readonly [K in keyof typeof LIMITS]: number }
  const { strangerMillis } = LIMITS
  t.teardown(() => Object.assign(limits, { strangerMillis }))
  limits.strangerMillis = 3000
  const scene = busNetwork(QUICK)
  const [a, b] = [await member(t, scene, 'a'), await member(t, scene, 'b')]
  const address = a.network.addresses()[0]!
  await b.network.connect(address)
  await Promise.all([a, b].map((peer) => peer.event('aggregated')))

  const { task } = scene
  const topic = topicOf(task)
  const outsider = await bareNode(t)
  const { gossip } = outsider.services
  let heard = 0
  gossip.addEventListener('gossipsub:message', () => heard++)
  gossip.subscribe(topic)
  await outsider.dial(multiaddr(address))
  t.ok(await outsider.services.ping.ping(multiaddr(address)), 'it may ping')

  const own = signerOf('outsider')
  const payload = new Uint8Array(16)
  const ref = { hash: payloadRoot(payload, sha256), length: payload.length, codec: 'float32' }
  const life = new AbortController()
  t.teardown(() => life.abort())
  const ask = (protocol: string) =>
    requestOver(outsider, a.network.self, protocol, random.bytes(60), { clock: systemClock, life: life.signal })
  const answers: string[] = []
  const protocols = [RECORDS_PROTOCOL, PAYLOAD_PROTOCOL, TASK_PROTOCOL, JOIN_PROTOCOL]
  for (let i = 0; i < 5; i++) {
    const record = sealUpdate({ round: 1 + i, payload: ref, final: false }, task.id, own).envelope
    await gossip.publish(topic, encodeAnnouncement(record, payload)).catch(() => {})
    const asked = await Promise.allSettled(protocols.map(ask))
    for (const each of asked) answers.push(each.status === 'fulfilled' ? `answered ${each.value.length} bytes` : each.reason.message)
  }
  t.equal(answers.length, 20)
  t.same(
    answers.filter((text) => !/only members|by invitation|none of this network|busy|did not answer/.test(text)),
    [],
    'every answer is a refusal',
  )
  t.ok(
    answers.some((text) => /only members/.test(text)),
    answers.join('\n'),
  )

  await eventually('the end of its connection', () => outsider.getConnections().length === 0)
  t.equal(heard, 0, 'it heard nothing')
  const { round } = b.events.findLast((event) => event.type === 'aggregated')!
  await Promise.all([a, b].map((peer) => peer.event('aggregated', (event) => event.round > round)))
  for (const { peer, events } of [a, b]) {
    t.notOk(peer.members().some((each) => each.peer === own.peerId || each.peer === outsider.peerId.toString()))
    t.notOk(events.some((event) => event.type === 'aggregated' && event.inputs.some(({ author }) => author === own.peerId)))
  }
  t.ok(a.network.connections().includes(b.network.self))
})

t.test(
  'an outsider is not told what a member subscribes to: no stream of gossip is opened to it, and on its own comes not a byte',
  async (t) => {
    const topic = '/murmuration/1/secret'
    const members = new Set<string>()
    const gate = { isMember: (peer: string) => members.has(peer), open: new Set<string>() }
    const [a, b] = await Promise.all([startPeer(t), startPeer(t)])
    for (const { self } of [a!, b!]) members.add(self)
    const early = await bareNode(t)
    const late = await bareNode(t)
    let told = 0
    for (const { services } of [early, late]) services.gossip.addEventListener('subscription-change', () => told++)
    const address = multiaddr(a!.addresses()[0]!)
    const { protocols } = early.services.gossip
    const isGossip = ({ protocol }: Stream) => protocols.includes(protocol)
    const streamsOf = (node: Node) => node.getConnections().flatMap(({ streams }) => streams.filter(isGossip))

    // While a peer joins it does not know who is a member: gossip begins, and ends with the gate.
    await early.dial(address)
    await eventually('gossip before the gate', () => streamsOf(early).length > 0)
    for (const each of [a!, b!]) each.admit(gate)
    await eventually('its end', () => streamsOf(early).length === 0)
    const connection = await late.dial(address)
    const [inside, other] = [await record(a!, topic), await record(b!, topic)]
    await b!.connect(a!.addresses()[0]!)
    await Promise.all([inside.peer(b!.self), other.peer(a!.self)])

    let bytes = 0
    for (const protocol of protocols) {
      const stream = await connection.newStream(protocol).catch(() => undefined)
      try {
        for await (const piece of stream ?? []) bytes += piece.byteLength
      } catch {
        // It was reset.
      }
    }
    await a!.publish(topic, new TextEncoder().encode('m1'))
    await other.message('m1')
    for (const node of [early, late]) t.type(await node.services.ping.ping(address), 'number', 'it is still connected')
    t.equal(bytes, 0)
    t.equal(told, 0)
    t.same([...streamsOf(early), ...streamsOf(late)], [])

    // Who becomes a member has gossip on the connection that is there.
    const { gossip } = late.services
    gossip.subscribe(topic)
    members.add(late.peerId.toString())
    a!.admit(gate)
    await inside.peer(late.peerId.toString())
    t.ok(gossip.getSubscribers(topic).some((peer) => peer.toString() === a!.self))
    t.equal(connection.status, 'open')
  },
)
