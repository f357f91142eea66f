// Peers that break the protocol among honest ones, over the in-memory bus: the honest ones learn on, and each misbehaviour is counted.
import t, { type Test } from 'tap'
import type { PeerEvent } from '../../node/events.ts'
import { createPayloadExchange } from '../../node/host/payload-exchange.ts'
import { MISBEHAVIOURS, misbehaving } from '../../node/lab/misbehaviour.ts'
import type { PeerParts } from '../../node/peer/parts.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { REJECTIONS, type RejectionCode } from '../../protocol/rejections.ts'
import { type BusPeer, busNetwork } from '../helpers/bus-peers.ts'

// Peers' own timers do not keep a process alive; a test that waits must.
const alive = setInterval(() => {}, 1000)
t.teardown(() => clearInterval(alive))

/** Parameters: more than ride along with a record, so that payloads are pulled. */
const SIZE = 4096
const pace = { minPeers: 5, staleness: 2, gatherMinSeconds: 0.2, gatherMaxSeconds: 1, absentAfterSeconds: 3600 }

interface Circle {
  honest: BusPeer[]
  eve: BusPeer
  /** Who sent each honest peer bytes without the signed hash. */
  liars: Map<string, PeerId[]>
}

/** Four honest peers, and Eve, who misbehaves as `text` says. */
async function circle(t: Test, text: string, rounds: number): Promise<Circle> {
  const network = busNetwork({ pace, stop: { rounds } }, SIZE)
  const liars = new Map<string, PeerId[]>()
  const watching = (name: string) => (parts: PeerParts) => {
    const found: PeerId[] = []
    liars.set(name, found)
    return { ...parts, exchange: createPayloadExchange({ ...parts, task: parts.task.id, onBadChunk: (peer) => void found.push(peer) }) }
  }
  const eve = await network.add('eve', {}, (parts) => misbehaving(parts, text))
  const honest = await Promise.all(['a', 'b', 'c', 'd'].map((name) => network.add(name, {}, watching(name))))
  t.teardown(() => Promise.all([eve, ...honest].map((peer) => peer.stop())))
  return { honest, eve, liars }
}

/** All honest peers end all rounds, learn, and hold nothing against each other. */
async function survive(t: Test, { honest, eve }: Circle, rounds: number): Promise<void> {
  await Promise.all(honest.map((peer) => peer.event('finished')))
  for (const { name, peer, events } of honest) {
    // On a slow machine one may fall behind and jump: what counts is that it gets to the end with the others.
    t.equal(events.findLast((event) => event.type === 'aggregated')?.round, rounds, `${name} aggregated in the last round`)
    const value = peer.model()[0]!
    t.ok(value > 0.5 && value < 3.5, `${name} has learned: ${value}`)
    const blamed = events.filter((event) => accused(event) !== undefined && accused(event) !== eve.network.self)
    t.same(blamed, [], `${name} blames nobody else`)
  }
}

/** At whose fault it was. */
function accused(event: PeerEvent): PeerId | undefined {
  if (event.type === 'equivocation') return event.author
  if (event.type !== 'rejected') return undefined
  const { fault } = REJECTIONS[event.code]
  return fault === 'forwarder' ? event.from : fault === 'author' ? event.author : undefined
}

const counted = ({ honest, eve }: Circle, code: RejectionCode, by: 'from' | 'author') =>
  Promise.all(honest.map((peer) => peer.event('rejected', (event) => event.code === code && event[by] === eve.network.self)))

t.test('one that signs two updates a round is shut out by everyone', async (t) => {
  const network = await circle(t, 'equivocate', 4)
  const { honest, eve } = network
  await Promise.all(honest.map((peer) => peer.event('equivocation', (event) => event.author === eve.network.self)))
  await survive(t, network, 4)
  for (const { events } of honest) {
    const last = events.findLast((event) => event.type === 'aggregated')
    t.notOk(last?.inputs.some((input) => input.author === eve.network.self))
  }
})

t.test('one that floods is counted and not listened to, and the rest go on', async (t) => {
  const network = await circle(t, 'flood:3000', 4)
  await counted(network, 'flood', 'from')
  await survive(t, network, 4)
})

t.test('one that announces and delivers nothing holds up nobody for good', async (t) => {
  const network = await circle(t, 'withhold', 4)
  await survive(t, network, 4)
  await counted(network, 'unavailable', 'author')
})

t.test('one that sends wrong bytes is found out, and its bytes are used by nobody', async (t) => {
  const network = await circle(t, 'bad-chunks', 4)
  const { honest, eve, liars } = network
  await survive(t, network, 4)
  for (const { name, events } of honest) {
    const found = liars.get(name) ?? []
    t.ok(found.length > 0 && found.every((peer) => peer === eve.network.self), `${name} found ${found.length} lies of one peer`)
    t.notOk(events.some((event) => event.type === 'aggregated' && event.inputs.some((input) => input.author === eve.network.self)))
  }
})

t.test('an unknown misbehaviour is refused with the names of those there are', async (t) => {
  const parts = {} as PeerParts
  for (const text of ['nonsense', 'flood:x', 'flood:', 'constructor', ''])
    t.throws(() => misbehaving(parts, text), { code: 'bad-argument', message: Object.keys(MISBEHAVIOURS).join(', ') }, text)
})
