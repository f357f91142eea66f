// Whole peers over the in-memory bus in virtual time: slow ones, late ones, those that were cut off, and many.
import t from 'tap'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import type { TrainRequest } from '../../node/ports.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { keepAlive } from '../helpers/alive.ts'
import { type BusPeer, busNetwork, slowly, stopAll, towards } from '../helpers/bus-peers.ts'
import { signerOf } from '../helpers/keys.ts'
import { CLASSES, cloud, evaluate, SOFTMAX_SIZE, softmaxTrainer } from '../helpers/softmax.ts'

keepAlive(t)

const HOUR = 3_600_000
const names = (count: number) => Array.from({ length: count }, (_, i) => String.fromCharCode(97 + i))
const pace = (minPeers: number): Manifest['pace'] => ({
  minPeers,
  staleness: 2,
  gatherMinSeconds: 0.2,
  gatherMaxSeconds: 5,
  absentAfterSeconds: 3600,
})

function timed(change: Partial<Manifest>, size?: number) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  return { clock, ...busNetwork(change, size, clock) }
}

/** Aggregations of a peer, newest last. */
const aggregations = ({ events }: BusPeer) => events.filter((event) => event.type === 'aggregated')
const of = <T extends BusPeer['events'][number]['type']>({ events }: BusPeer, type: T) =>
  events.filter((event): event is Extract<BusPeer['events'][number], { type: T }> => event.type === type)
const finished = (peers: readonly BusPeer[]) => () => peers.every((peer) => of(peer, 'finished').length > 0)

t.test('a peer ten times slower counts, ends its training runs and holds nobody up', async (t) => {
  const network = timed({ pace: pace(5), stop: { rounds: 50 } })
  const peers = await Promise.all(
    names(5).map((name, i) => network.add(name, { trainer: slowly(network, i, name === 'e' ? 10_000 : 1000) })),
  )
  const others = peers.slice(0, 4)
  const slow = peers[4]!
  t.ok(await network.clock.runUntil(finished(others), HOUR))
  t.ok(network.clock.now() < 50 * 2000, `the others took ${network.clock.now()} ms for 50 rounds`)
  t.ok(of(slow, 'trained').length >= 4, 'its training is not cut off')
  const announced = of(slow, 'published').filter((event) => !event.republished && event.round > 1 && event.round < 48)
  t.ok(announced.length >= 3, `it announced rounds ${announced.map(({ round }) => round)}`)
  for (const { round } of announced) {
    const users = others.filter((peer) =>
      aggregations(peer).some(({ inputs }) => inputs.some((input) => input.author === slow.network.self && input.round === round)),
    )
    t.ok(users.length >= 3, `its update of round ${round} is used by ${users.length}`)
  }
  await stopAll(network, peers)
})

t.test('local work is bounded by time where the task says so', async (t) => {
  const network = timed({
    pace: pace(1),
    byzantineShare: 0,
    rule: 'mean',
    stop: { rounds: 1 },
    work: { batchSize: 4, steps: 7, roundSeconds: 3 },
  })
  const asked: TrainRequest[] = []
  const trainer = towards(0, 4)
  const train = (request: TrainRequest) => {
    asked.push(request)
    return trainer.train(request)
  }
  const peer = await network.add('a', { trainer: { ...trainer, train } })
  t.ok(await network.clock.runUntil(finished([peer]), HOUR))
  t.match(asked, [{ steps: 7, millis: 3000 }])
  await stopAll(network, [peer])
})

t.test('one that joins late takes over where the network is, and a kill right after loses nothing', async (t) => {
  const network = timed({ pace: pace(4), stop: { rounds: 30 } })
  const peers = await Promise.all(names(5).map((name, i) => network.add(name, { trainer: slowly(network, i, 1000) })))
  t.ok(await network.clock.runUntil(() => peers.every((peer) => peer.peer.status().round >= 15), HOUR))
  const inner = memoryStore()
  const order: string[] = []
  const store: typeof inner = {
    ...inner,
    saveCheckpoint(checkpoint) {
      order.push(`checkpoint ${checkpoint.round} ${checkpoint.stage}`)
      return inner.saveCheckpoint(checkpoint)
    },
    saveAnnouncement(envelope) {
      order.push('announcement')
      return inner.saveAnnouncement(envelope)
    },
  }
  const add = () => network.add('f', { store, trainer: slowly(network, 2, 1000) })
  const late = await add()
  t.ok(await network.clock.runUntil(() => of(late, 'synced').length > 0, HOUR))
  const [synced] = of(late, 'synced')
  t.match(synced, { from: 0, adopted: true })
  t.ok(synced!.to >= 14 && synced!.inputs >= 3, `synced to ${synced!.to} with ${synced!.inputs}`)
  t.ok(synced!.accuracy! >= synced!.accuracyBefore!)
  t.same(order, [`checkpoint ${synced!.to} aggregated`], 'the state is on disk, and nothing is announced before')
  await stopAll(network, [late])
  const again = await add()
  t.ok(await network.clock.runUntil(finished([...peers, again]), HOUR))
  t.same(
    of(again, 'synced').filter(({ from }) => from === 0),
    [],
    'it goes on from there',
  )
  t.ok(of(again, 'published').every(({ round }) => round > synced!.to))
  t.notOk([...peers, again].some((peer) => of(peer, 'equivocation').length > 0))
  await stopAll(network, [...peers, again])
})

t.test('a state that does worse on the own data is not taken over', async (t) => {
  const network = timed({ pace: pace(4), stop: { rounds: 40 } })
  const peers = await Promise.all(names(5).map((name) => network.add(name, { trainer: slowly(network, 50, 1000) })))
  t.ok(await network.clock.runUntil(() => peers.every((peer) => peer.peer.status().round >= 15), HOUR))
  const other = await network.add('f', { trainer: slowly(network, -1, 1000) })
  t.ok(await network.clock.runUntil(() => of(other, 'synced').length > 0, HOUR))
  t.match(of(other, 'synced'), [{ from: 0, adopted: false }])
  t.ok(await network.clock.runUntil(finished([...peers, other]), HOUR))
  t.ok(of(other, 'jumped').length > 0, 'it goes on from its own')
  await stopAll(network, [...peers, other])
})

t.test('a network that has finished is still joined', async (t) => {
  const network = timed({ pace: pace(4), stop: { rounds: 12 } })
  const peers = await Promise.all(names(4).map((name, i) => network.add(name, { trainer: slowly(network, i, 100) })))
  t.ok(await network.clock.runUntil(finished(peers), HOUR))
  const late = await network.add('e', { trainer: slowly(network, 1, 100) })
  t.ok(await network.clock.runUntil(finished([late]), HOUR))
  t.match(of(late, 'synced'), [{ from: 0, to: 12, adopted: true }])
  t.ok(Math.abs(late.peer.model()[0]! - peers[0]!.peer.model()[0]!) < 0.5)
  await stopAll(network, [...peers, late])
})

t.test('a healed partition keeps what both halves learned', async (t) => {
  const network = timed({ pace: pace(6), rule: 'trimmed-mean', work: { batchSize: 16, steps: 20 }, stop: { rounds: 40 } }, SOFTMAX_SIZE)
  const ids = names(12).map((name) => signerOf(name).peerId)
  network.bus.partition([ids.slice(0, 6), ids.slice(6)])
  const peers = await Promise.all(
    names(12).map((name, i) =>
      // The second half is slower, so that it has fallen behind when they meet.
      network.add(name, { trainer: softmaxTrainer(i < 6 ? [0, 1] : [2, 3], name, network.clock, i < 6 ? 1000 : 2000) }),
    ),
  )
  const halves = [peers.slice(0, 6), peers.slice(6)]
  const everything = cloud(
    Array.from({ length: CLASSES }, (_, k) => k),
    400,
    'all classes',
  )
  const accuracies = () => peers.map((peer) => evaluate(peer.peer.model(), everything).accuracy)
  t.ok(await network.clock.runUntil(() => peers.every((peer) => aggregations(peer).length >= 4), HOUR))
  const apart = accuracies()
  const rounds = halves.map((half) => Math.max(...half.map((peer) => peer.peer.status().round)))
  t.ok(rounds[0]! - rounds[1]! >= 2 && rounds[0]! - rounds[1]! <= 10, `the halves are in rounds ${rounds}`)
  network.bus.heal()
  const healedAt = rounds[0]!
  t.ok(await network.clock.runUntil(() => peers.every((peer) => peer.peer.status().round >= healedAt + 8), HOUR))
  const together = accuracies()
  t.ok(Math.max(...apart) < 0.6, `apart at most ${Math.max(...apart)}`)
  t.ok(Math.min(...together) > Math.max(...apart) + 0.15, `together at least ${Math.min(...together)}`)
  t.ok(
    halves[1]!.some((peer) => of(peer, 'jumped').length > 0),
    'those behind came with their own models',
  )
  t.same(
    peers.flatMap((peer) => of(peer, 'synced')),
    [],
  )
  await stopAll(network, peers)
})

t.test('32 peers in one process train together', async (t) => {
  const network = timed({ pace: pace(32), rule: 'nnm | trimmed-mean', stop: { rounds: 3 } })
  const peers = await Promise.all(Array.from({ length: 32 }, (_, i) => network.add(`peer ${i}`, { trainer: slowly(network, i % 4, 1000) })))
  t.ok(await network.clock.runUntil(finished(peers), HOUR))
  for (const peer of peers) {
    t.equal(aggregations(peer).length, 3)
    t.ok(aggregations(peer).every(({ f, inputs }) => f === 6 && inputs.length >= 13))
  }
  await stopAll(network, peers)
})
