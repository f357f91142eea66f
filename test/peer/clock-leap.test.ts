// Clocks that leap under a whole peer: set forward by hours, back to 1970, or suspended with its machine. Rounds go on and nobody is to blame.
import t from 'tap'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { createMemberBook } from '../../node/peer/member-book.ts'
import type { Clock } from '../../node/ports.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { REJECTIONS } from '../../protocol/rejections.ts'
import { keepAlive } from '../helpers/alive.ts'
import { type BusPeer, busNetwork, slowly, stopAll } from '../helpers/bus-peers.ts'
import { signerOf, verifier } from '../helpers/keys.ts'

keepAlive(t)

const HOUR = 3_600_000
const START = Date.UTC(2026, 0, 1)

/** Peers a to e, of which a has a clock of its own. */
async function network(rounds: number, trainingMillis: number) {
  const virtual = createVirtualClock(START)
  const bus = busNetwork(
    { pace: { minPeers: 4, staleness: 2, gatherMinSeconds: 0.2, gatherMaxSeconds: 5, absentAfterSeconds: 3600 }, stop: { rounds } },
    4,
    virtual,
  )
  let [ahead, behind, suspended] = [0, 0, false]
  const late: (() => void)[] = []
  const clock: Clock = {
    now: () => virtual.now() - behind,
    wall: () => virtual.wall() + ahead,
    after: (millis, fn) => virtual.after(millis, () => (suspended ? void late.push(fn) : fn())),
  }
  const trainer = (goal: number) => slowly({ clock: virtual }, goal, trainingMillis)
  const store = memoryStore()
  const members = await createMemberBook({ task: bus.task, store, verify: verifier, clock })
  const leaping = await bus.add('a', { clock, store, members, trainer: trainer(0) })
  const others = await Promise.all(['b', 'c', 'd', 'e'].map((name, i) => bus.add(name, { trainer: trainer(i) })))
  const peers = [leaping, ...others]
  return {
    leaping,
    others,
    peers,
    clock: virtual,
    set: (wallMillis: number) => {
      ahead += wallMillis - clock.wall()
    },
    /** The monotonic clock stands still with the machine. */
    async suspend(millis: number): Promise<void> {
      const ids = others.map(({ network }) => network.self)
      bus.bus.partition([[leaping.network.self], ids])
      suspended = true
      await virtual.advance(millis)
      behind += millis
      suspended = false
      bus.bus.heal()
      for (const fn of late.splice(0)) fn()
    },
    stop: () => stopAll({ clock: virtual }, peers),
  }
}

const roundOf = ({ peer }: BusPeer) => peer.status().round
const finished = (peers: readonly BusPeer[]) => () => peers.every(({ events }) => events.some(({ type }) => type === 'finished'))
/** Rounds of the author's updates that the peer has aggregated. */
const used = ({ events }: BusPeer, author: string) =>
  events
    .flatMap((event) => (event.type === 'aggregated' ? event.inputs : []))
    .flatMap((input) => (input.author === author ? input.round : []))
const blamed = ({ events }: BusPeer) =>
  events.filter((event) => event.type === 'equivocation' || (event.type === 'rejected' && REJECTIONS[event.code].fault !== 'nobody'))

t.test('a clock set forward by hours, then back to 1970, then right again: every round is taken part in', async (t) => {
  const { leaping, others, peers, clock, set, stop } = await network(40, 1000)
  const leaps: [number, () => number][] = [
    [8, () => clock.wall() + 5 * HOUR],
    [16, () => 1000],
    [24, () => clock.wall()],
  ]
  for (const [round, to] of leaps) {
    t.ok(await clock.runUntil(() => roundOf(leaping) >= round, HOUR), `round ${round} is reached`)
    set(to())
  }
  t.ok(await clock.runUntil(finished(peers), HOUR))
  t.ok(clock.now() < 40 * 2000, `no round took longer: ${clock.now()} ms`)
  for (const peer of others) t.ok(used(peer, signerOf('a').peerId).length >= 38, 'its updates count')
  t.same(peers.flatMap(blamed), [])
  await stop()
})

t.test('a machine suspended for hours asks what it has missed and goes on with the others', async (t) => {
  const { leaping, others, peers, clock, suspend, stop } = await network(1000, 60_000)
  t.ok(await clock.runUntil(() => roundOf(leaping) >= 5, HOUR))
  await suspend(2 * HOUR)
  const missed = roundOf(others[0]!)
  t.ok(missed > roundOf(leaping) + 100, `it is in round ${roundOf(leaping)}, the others in ${missed}`)
  t.ok(await clock.runUntil(() => roundOf(leaping) >= missed, 120_000), 'it is where they are within two rounds')
  const until = missed + 20
  t.ok(await clock.runUntil(() => peers.every((peer) => roundOf(peer) >= until), HOUR))
  for (const peer of others)
    t.ok(
      used(peer, signerOf('a').peerId).some((round) => round >= missed),
      'its updates count again',
    )
  t.same(peers.flatMap(blamed), [])
  await stop()
})
