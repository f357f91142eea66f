// What a peer lets out, and what it lets in: its own model only where others would take it, others' only with variances that are some.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { loadModel, splitWeights, variancesIn } from '../../models/index.ts'
import { createAggregator } from '../../node/peer/aggregator.ts'
import { gateVariances } from '../../node/peer/variances.ts'
import type { Trainer } from '../../node/ports.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { layoutSize } from '../../protocol/layout.ts'
import { keepAlive } from '../helpers/alive.ts'
import { type BusPeer, busNetwork, towards } from '../helpers/bus-peers.ts'

keepAlive(t)

const pace = { minPeers: 4, staleness: 2, gatherMinSeconds: 0.2, gatherMaxSeconds: 5, absentAfterSeconds: 3600 }
const rejectedBy = ({ events }: BusPeer) => events.filter((event) => event.type === 'rejected')

/** Trains like others, but for one run that ends at `value`: with a loss that looks good. */
function wildOnce(value: number, run: number): Trainer {
  const trainer = towards(1, 4)
  let runs = 0
  return {
    ...trainer,
    async train(request) {
      const result = await trainer.train(request)
      return ++runs === run ? { ...result, params: result.params.with(2, value) } : result
    },
  }
}

t.test('a model that others would refuse is not announced, but the last good one, and it says so', async (t) => {
  for (const [value, why] of [
    [Number.NaN, /round 2 holds a number that is not finite\. .* lower the learning rate/],
    [3e9, /round 2 holds a value above the 1000000 that others take\. .* clipNorm/],
  ] as const) {
    const network = busNetwork({ pace, stop: { rounds: 4 }, limits: { maxAbs: 1e6 } })
    const peers = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) => network.add(name, name === 'd' ? { trainer: wildOnce(value, 2) } : {})),
    )
    const wild = peers[3]!
    t.match(await wild.event('warning'), { code: 'training-diverged', message: why })
    await Promise.all(peers.map((peer) => peer.event('finished')))
    t.same(peers.slice(0, 3).flatMap(rejectedBy), [], 'nobody has to refuse anything')
    t.same(
      wild.events.flatMap((event) => (event.type === 'published' && !event.republished ? event.round : [])),
      [1, 2, 3, 4, 5],
      'it took part in every round',
    )
    for (const { peer } of peers) t.ok(peer.model().every((x) => Math.abs(x) < 4))
    await Promise.all(peers.map((peer) => peer.stop()))
  }
})

t.test('a peer that never had a model that others take ends with a sentence', async (t) => {
  const network = busNetwork({ pace: { ...pace, minPeers: 1 }, byzantineShare: 0, rule: 'mean' })
  const peer = await network.add('a', { initial: new Float32Array(4).fill(Number.POSITIVE_INFINITY) })
  await t.rejects(peer.peer.finished, { code: 'training-diverged', message: /round 1 holds .* before any training/ })
  await peer.stop()
})

t.test('the running variances of a model are found by the nodes that use them', async (t) => {
  const { graph, layout } = splitWeights(readFileSync(new URL('../models/exports/cnn-batchnorm-17.onnx', import.meta.url)))
  const ranges = variancesIn(loadModel(graph))
  const found = layout.filter(({ offset }) => ranges.some(([from]) => from === offset)).map(({ name }) => name)
  t.ok(found.length > 0)
  t.same(
    found,
    layout.filter(({ name }) => name.endsWith('running_var')).map(({ name }) => name),
  )
  t.ok(ranges.every(([from, to]) => from >= layoutSize(layout, 'shared') && to <= layoutSize(layout, 'shared', 'stats')))
})

t.test('a variance below 0 is refused, whatever carries it, and a mean below 0 is none', async (t) => {
  const inner = createAggregator()
  const aggregator = gateVariances(inner, [
    [2, 4],
    [6, 7],
  ])
  for (const codec of ['float32', 'float16']) {
    const check = (at: number, value: number) =>
      aggregator.check(codecOf(codec).encode(new Float32Array(7).with(at, value)), { codec, length: 7, maxAbs: 10 })
    t.equal(await check(5, -1), undefined)
    t.equal(await check(3, 0), undefined)
    for (const at of [2, 3, 6]) t.equal(await check(at, -0.001), 'out-of-bounds')
    t.equal(await check(3, Number.NaN), 'not-finite')
    t.equal(await check(3, 11), 'out-of-bounds')
  }
  await inner.stop()
})

t.test('a member that sends a variance below 0 is counted as at fault by peers that go on without it', async (t) => {
  const network = busNetwork({
    ...{ pace: { ...pace, minPeers: 3 }, byzantineShare: 0, rule: 'mean', stop: { rounds: 3 } },
    layout: [
      { name: 'w', shape: [3], segment: 'shared' },
      { name: 'variance', shape: [1], segment: 'stats' },
    ],
  })
  const forge = ({ trained }: { trained: Float32Array }) => trained.with(3, -1)
  const peers = await Promise.all(
    ['b', 'c', 'd'].map((name) =>
      network.add(name, name === 'd' ? { forge } : {}, (parts) => ({ ...parts, aggregator: gateVariances(parts.aggregator, [[3, 4]]) })),
    ),
  )
  const [liar] = peers.slice(2)
  for (const peer of peers.slice(0, 2)) {
    await peer.event('finished')
    t.match(rejectedBy(peer), [{ code: 'out-of-bounds', author: liar!.network.self, round: 1 }])
    t.ok(peer.peer.model()[3]! > 0)
    t.notOk(peer.events.some((event) => event.type === 'aggregated' && event.inputs.some(({ author }) => author === liar!.network.self)))
  }
  await Promise.all(peers.map((peer) => peer.stop()))
})
