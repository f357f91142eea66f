// Records other than updates among whole peers on the bus, in virtual time: addresses, memberships and revocations, each by every way it takes.
import t from 'tap'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { createMemberBook } from '../../node/peer/member-book.ts'
import type { PeerParts } from '../../node/peer/parts.ts'
import type { Network } from '../../node/ports.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { sealAddresses } from '../../protocol/addresses.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { encodeEvidence, encodeRecord } from '../../protocol/gossip.ts'
import { sealMembership, sealRevocation } from '../../protocol/membership.ts'
import { topicOf } from '../../protocol/task.ts'
import { sealUpdate } from '../../protocol/update.ts'
import { keepAlive } from '../helpers/alive.ts'
import { type BusNetwork, type BusPeer, busNetwork } from '../helpers/bus-peers.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'

keepAlive(t)

const pace = { minPeers: 9, staleness: 2, gatherMinSeconds: 1, gatherMaxSeconds: 5, absentAfterSeconds: 3600 }
const idOf = (name: string) => signerOf(name).peerId
const addressOf = (name: string, port = 4001) => `/ip4/203.0.113.5/tcp/${port}/p2p/${idOf(name)}`

/** Puts addresses of its own into a peer's network, and keeps what it is told of others. */
function located(addresses: () => string[], learnt: Map<string, readonly string[]>) {
  return (parts: PeerParts): PeerParts => {
    const network: Network = {
      ...parts.network,
      addresses,
      learn: (peer, list) => void (list.length > 0 ? learnt.set(peer, list) : learnt.delete(peer)),
    }
    return { ...parts, network }
  }
}

function world(change: Parameters<typeof busNetwork>[0] = {}) {
  const clock = createVirtualClock(1_800_000_000_000)
  const network = busNetwork({ pace, ...change }, 4, clock)
  const peers: BusPeer[] = []
  return {
    clock,
    network,
    async add(name: string, parts: Parameters<BusNetwork['add']>[1] = {}, port = { now: 4001 }) {
      const learnt = new Map<string, readonly string[]>()
      const peer = await network.add(
        name,
        parts,
        located(() => [addressOf(name, port.now)], learnt),
      )
      peers.push(peer)
      return { ...peer, learnt }
    },
    async stop() {
      await Promise.all(peers.map((peer) => peer.stop()))
    },
  }
}

/** Another that is on the topic, and is no peer of ours. */
async function joinTopic({ bus, task }: BusNetwork): Promise<Network> {
  const network = bus.network(idOf('m'))
  await network.start()
  await network.subscribe(topicOf(task), { validate: () => 'ignore', messageId: sha256 })
  return network
}

t.test('members tell where they are, also to who comes later, tell it again when it changes, and keep it over a restart', async (t) => {
  const { clock, add, stop } = world()
  const port = { now: 4001 }
  const store = memoryStore()
  const [a, b] = [await add('a', {}, port), await add('b', { store })]
  await clock.advance(3000)
  t.same([...b.learnt], [[idOf('a'), [addressOf('a')]]])
  t.same(b.peer.knownAddresses(), [addressOf('a')])
  const late = await add('c')
  await clock.advance(3000)
  t.same(new Set(late.learnt.keys()), new Set([idOf('a'), idOf('b')]))
  port.now = 4002
  await clock.advance(5000)
  for (const peer of [b, late]) t.same(peer.learnt.get(idOf('a')), [addressOf('a', 4002)])
  await Promise.all([a.stop(), b.stop()])
  const again = await add('b', { store })
  t.same(again.learnt.get(idOf('a')), [addressOf('a', 4002)], 'known before anyone is connected')
  await stop()
})

t.test('a list that is older, or another member’s in its name, changes nothing', async (t) => {
  const { clock, network, add, stop } = world()
  const b = await add('b')
  const stranger = await joinTopic(network)
  const tell = async (sequence: number, port: number) => {
    const { envelope } = sealAddresses({ sequence, addresses: [addressOf('m', port)] }, network.task.id, signerOf('m'))
    await stranger.publish(topicOf(network.task), encodeRecord({ kind: 'addresses', envelope }))
    await clock.advance(10)
    return b.learnt.get(idOf('m'))
  }
  t.same(await tell(10, 1), [addressOf('m', 1)])
  t.same(await tell(9, 2), [addressOf('m', 1)])
  t.same(await tell(11, 3), [addressOf('m', 3)])
  // Each change costs every member a message: one that changes its mind all the time is soon not passed on.
  for (let i = 0; i < 10; i++) await tell(20 + i, 100 + i)
  t.same(b.learnt.get(idOf('m')), [addressOf('m', 102)])
  t.ok(b.events.some((event) => event.type === 'rejected' && event.code === 'full'))
  await stranger.stop()
  await stop()
})

t.test('a list in the own name that another process has just told is a loud warning, once', async (t) => {
  const { clock, network, add, stop } = world()
  const b = await add('b')
  await clock.advance(3000)
  const other = await joinTopic(network)
  for (const ahead of [1000, 50_000]) {
    const { envelope } = sealAddresses({ sequence: clock.wall() + ahead, addresses: [] }, network.task.id, signerOf('b'))
    await other.publish(topicOf(network.task), encodeRecord({ kind: 'addresses', envelope }))
    await clock.advance(3000)
  }
  const warnings = b.events.filter((event) => event.type === 'warning')
  t.match(warnings, [{ code: 'identity-twin', message: /stop it/ }])
  t.equal(warnings.length, 1)
  await other.stop()
  await stop()
})

t.test('who has signed two updates for one round is told so itself, once', async (t) => {
  const { clock, network, add, stop } = world()
  const b = await add('b')
  await clock.advance(3000)
  const other = await joinTopic(network)
  const { task } = network
  const length = codecOf(task.manifest.codec).encodedLength(task.exchanged)
  const signed = [1, 2, 3].map((fill) => {
    const payload = { hash: new Uint8Array(32).fill(fill), length, codec: task.manifest.codec }
    return sealUpdate({ round: 5, payload, final: false }, task.id, signerOf('b')).envelope
  })
  for (const second of signed.slice(1)) {
    await other.publish(topicOf(task), encodeEvidence(signed[0]!, second))
    await clock.advance(1000)
  }
  const warnings = b.events.filter((event) => event.type === 'warning')
  t.match(warnings, [{ code: 'identity-twin', message: /round 5 .* shut its identity out/ }])
  t.equal(warnings.length, 1)
  await other.stop()
  await stop()
})

t.test('a revocation reaches all, also who was away; its peer is put out and told why', async (t) => {
  const { clock, network, add, stop } = world()
  const store = memoryStore()
  const [a, b, c] = [await add('a'), await add('b'), await add('c', { store })]
  await clock.advance(3000)
  await c.stop()
  t.match(a.peer.members(), [{ member: true, connected: true }, { connected: false }])
  const { envelope } = sealRevocation({ key: signerOf('b').publicKey, issuedAt: 1_800_000_000 }, network.task.id, signerOf('founder'))
  a.peer.tell({ kind: 'revocation', envelope })
  await clock.advance(3000)
  await t.rejects(b.peer.finished, { code: 'not-admitted', message: /was revoked/ })
  t.match(
    a.events.find(({ type }) => type === 'member'),
    { peer: idOf('b'), member: false, why: 'revoked' },
  )
  t.notOk(a.network.connections().includes(idOf('b')))
  t.notOk(a.learnt.has(idOf('b')))
  t.notOk(a.peer.members().some(({ peer }) => peer === idOf('b')))
  const back = await add('c', { store })
  await clock.advance(3000)
  t.notOk(back.learnt.has(idOf('b')))
  t.match(
    back.events.find(({ type }) => type === 'member'),
    { peer: idOf('b'), member: false },
  )
  await stop()
})

t.test('who is let in is known to all by gossip, by the exchange, and by what rides with its first update', async (t) => {
  const invite = { admission: { mode: 'invite' as const, admins: [] }, pace: { ...pace, minPeers: 2, gatherMaxSeconds: 2 } }
  const { clock, network, add, stop } = world(invite)
  const certificate = (name: string) => {
    const body = { key: signerOf(name).publicKey, role: 'peer' as const, issuedAt: 1_800_000_000 }
    return { kind: 'membership' as const, envelope: sealMembership(body, network.task.id, signerOf('founder')).envelope }
  }
  const bookOf = async (...names: string[]) => {
    const store = memoryStore()
    const members = await createMemberBook({ task: network.task, store, verify: verifier, clock })
    for (const name of names) t.equal(members.take(certificate(name)), 'new')
    return { store, members }
  }
  const a = await add('a', await bookOf('a', 'b'))
  const b = await add('b', await bookOf('a', 'b'))
  await clock.advance(1000)
  t.same(a.network.peers(), [idOf('b')])
  // Only a knows of c.
  a.peer.tell(certificate('c'))
  await clock.advance(1000)
  t.same(
    b.events.filter(({ type }) => type === 'member').map((event) => 'peer' in event && event.peer),
    [idOf('c')],
  )
  // Only c knows of d, and passes on what it says: its own certificate proves who it is.
  await add('c', await bookOf('a', 'b', 'c', 'd'))
  const d = await add('d', await bookOf('a', 'b', 'c', 'd'))
  await clock.advance(20_000)
  for (const peer of [a, b]) t.ok(peer.peer.members().some(({ peer: id, member, round }) => id === idOf('d') && member && round > 0))
  t.ok(d.peer.status().round > 0)
  await stop()
})
