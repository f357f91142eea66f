// Peers that break the protocol among honest ones, over the in-memory bus in virtual time: the honest ones learn on, and each misbehaviour is
// counted.
import t, { type Test } from 'tap'
import type { PeerEvent } from '../../node/events.ts'
import { createPayloadExchange } from '../../node/host/payload-exchange.ts'
import { MISBEHAVIOURS, misbehaving } from '../../node/lab/misbehaviour.ts'
import { createVirtualClock, type VirtualClock } from '../../node/lab/virtual-clock.ts'
import type { PeerParts } from '../../node/peer/parts.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { REJECTIONS, type RejectionCode } from '../../protocol/rejections.ts'
import { type BusPeer, busNetwork, stopAll } from '../helpers/bus-peers.ts'

/** Parameters: more than ride along with a record, so that payloads are pulled. */
const SIZE = 4096
const pace = { minPeers: 5, staleness: 2, gatherMinSeconds: 0.2, gatherMaxSeconds: 1, absentAfterSeconds: 3600 }

/** Virtual milliseconds within which all that is waited for has happened. */
const SOON = 60_000

interface Circle {
  clock: VirtualClock
  honest: BusPeer[]
  eve: BusPeer
  /** Who sent each honest peer bytes without the signed hash. */
  liars: Map<string, PeerId[]>
}

/** Four honest peers, and Eve, who misbehaves as `text` says. */
async function circle(t: Test, text: string, rounds: number, change: Partial<typeof pace> = {}): Promise<Circle> {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const network = busNetwork({ pace: { ...pace, ...change }, stop: { rounds } }, SIZE, clock)
  const liars = new Map<string, PeerId[]>()
  const watching = (name: string) => (parts: PeerParts) => {
    const found: PeerId[] = []
    liars.set(name, found)
    return { ...parts, exchange: createPayloadExchange({ ...parts, task: parts.task.id, onBadChunk: (peer) => void found.push(peer) }) }
  }
  const eve = await network.add('eve', {}, (parts) => misbehaving(parts, text))
  const honest = await Promise.all(['a', 'b', 'c', 'd'].map((name) => network.add(name, {}, watching(name))))
  t.teardown(() => stopAll({ clock }, [eve, ...honest]))
  return { clock, honest, eve, liars }
}

/** Each honest peer has such an event, now or soon. */
async function all({ clock, honest }: Circle, fits: (event: PeerEvent) => boolean): Promise<boolean> {
  return clock.runUntil(() => honest.every(({ events }) => events.some(fits)), SOON)
}

/** All honest peers end all rounds, learn, and hold nothing against each other. */
async function survive(t: Test, circle: Circle, rounds: number): Promise<void> {
  const { honest, eve } = circle
  t.ok(await all(circle, (event) => event.type === 'finished'), 'all honest peers finish')
  for (const { name, peer, events } of honest) {
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

const counted = (circle: Circle, code: RejectionCode, by: 'from' | 'author') =>
  all(circle, (event) => event.type === 'rejected' && event.code === code && event[by] === circle.eve.network.self)

t.test('one that signs two updates a round is shut out by everyone', async (t) => {
  const network = await circle(t, 'equivocate', 4)
  const { honest, eve } = network
  t.ok(await all(network, (event) => event.type === 'equivocation' && event.author === eve.network.self))
  await survive(t, network, 4)
  for (const { events } of honest) {
    const last = events.findLast((event) => event.type === 'aggregated')
    t.notOk(last?.inputs.some((input) => input.author === eve.network.self))
  }
})

t.test('one that floods is counted and not listened to, and the rest go on', async (t) => {
  const network = await circle(t, 'flood:3000', 4)
  t.ok(await counted(network, 'flood', 'from'))
  await survive(t, network, 4)
})

t.test('one that announces and delivers nothing holds up nobody for good', async (t) => {
  // Rounds that are long enough for a request to fail meanwhile.
  const network = await circle(t, 'withhold', 4, { gatherMinSeconds: 5, gatherMaxSeconds: 20 })
  await survive(t, network, 4)
  t.ok(await counted(network, 'unavailable', 'author'))
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
