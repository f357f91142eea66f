// Networks of round machines under bad weather: what must never happen is checked at every step of every machine (see the helper).
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { byzantineBound, faultsAmong, sampleOrder } from '../../protocol/sampling.ts'
import { type Node, type RoundNetwork, roundNetwork, updateOf, type Weather } from '../helpers/round-network.ts'

const HOUR = 3_600_000

const named = (count: number) => Array.from({ length: count }, (_, i) => `p${String(i).padStart(3, '0')}`)
const ids = named(6)
const fair: Weather = { seed: 1, loss: 0, repeat: 0, delay: 50, training: 1000 }
const weather = fc.record({
  seed: fc.nat(1_000_000),
  loss: fc.double({ min: 0, max: 0.4, noNaN: true }),
  repeat: fc.double({ min: 0, max: 0.5, noNaN: true }),
  failure: fc.double({ min: 0, max: 0.3, noNaN: true }),
  delay: fc.integer({ min: 1, max: 1500 }),
  training: fc.integer({ min: 100, max: 3000 }),
})

/** All of `nodes` finish; a failure says why. */
function expectEnd(network: RoundNetwork, nodes: readonly Node[] = network.nodes, millis = HOUR): true {
  const ended = network.run(() => nodes.every((node) => node.finished !== undefined), millis)
  const left = nodes.filter((node) => node.finished === undefined)
  const stuck = left.map(({ id, down, state }) => `${id}${down ? ' (down)' : ''} ${state.phase} in ${state.round}, f=${state.f}`)
  const problems = [...network.violations.slice(0, 5), ...(ended ? [] : [`not finished: ${stuck.join('; ')}`])]
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return true
}

/** Sampling by each node's own secret, over `n` nodes of which `share` may be malicious. */
const sampled = (n: number, share: number, rounds: number, fullView = 30, fullViewMost = 36) => ({
  minPeers: n,
  fullView,
  fullViewMost,
  byzantine: (members: number) => byzantineBound(members, share),
  faults: (members: number, s: number) => faultsAmong(members, byzantineBound(members, share), s, rounds),
  stop: { rounds },
})
const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())

function secretOrders(network: RoundNetwork): void {
  for (const node of network.nodes) {
    const secret = hash(new TextEncoder().encode(node.id))
    node.config.sampleOrder = (members, round) => sampleOrder(members, round, secret, hash)
  }
}

t.test('every peer finishes every round under reordering, loss, repetition, delay and failing pulls', async () => {
  fc.assert(
    fc.property(weather, (conditions) => expectEnd(roundNetwork(ids, conditions, { slow: ['p001'] }))),
    { numRuns: 60 },
  )
})

t.test('peers that are killed and started again, at any time, sign no round twice and finish', async () => {
  const crash = fc.record({ who: fc.nat(6), at: fc.nat(20_000), millis: fc.integer({ min: 1, max: 20_000 }) })
  fc.assert(
    fc.property(weather, fc.array(crash, { maxLength: 8 }), (conditions, crashes) => {
      const network = roundNetwork(named(7), conditions, { change: { stop: { rounds: 12 }, minPeers: 5 } })
      for (const { who, at, millis } of crashes) {
        network.later(at, () => {
          if (!network.nodes[who]!.down) network.crash(network.nodes[who]!, millis)
        })
      }
      expectEnd(network)
      return network.nodes.every(({ published }) => published.every((round, i) => i === 0 || round > published[i - 1]!))
    }),
    { numRuns: 60 },
  )
})

t.test('equivocators and those who withhold, within the bound, stop nobody, and the former are shut out', async () => {
  fc.assert(
    fc.property(weather, fc.boolean(), (conditions, withhold) => {
      const n = 12
      const bad = named(n).slice(-2)
      const network = roundNetwork(
        named(n),
        { ...conditions, loss: conditions.loss / 2 },
        { [withhold ? 'withholding' : 'equivocating']: bad },
      )
      const honest = network.nodes.slice(0, n - 2)
      expectEnd(network, honest)
      if (withhold) return true
      return (
        honest.every(({ state }) => [...state.shutOut].every((id) => bad.includes(id))) &&
        honest.some(({ state }) => state.shutOut.size > 0)
      )
    }),
    { numRuns: 25 },
  )
})

t.test('nobody moves on the word of as many as may be malicious, whatever rounds they claim', async () => {
  // Also such as the task has.
  const round = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 1_000_000 }))
  const claim = fc.record({ at: fc.nat(15_000), round, who: fc.nat(1) })
  fc.assert(
    fc.property(weather, fc.array(claim, { minLength: 1, maxLength: 20 }), (conditions, claims) => {
      const n = 12
      const liars = named(n).slice(-2)
      const network = roundNetwork(named(n), conditions, { silent: liars, change: { minPeers: n - 2 } })
      for (const node of network.nodes) node.config.byzantine = () => 2
      for (const { at, round, who } of claims) network.later(at, () => network.announce(updateOf(liars[who]!, round)))
      return expectEnd(network, network.nodes.slice(0, n - 2))
    }),
    { numRuns: 25 },
  )
})

t.test('members whose membership ends vanish from the round in hand, and the rest go on', async () => {
  fc.assert(
    fc.property(weather, fc.array(fc.nat(20_000), { minLength: 1, maxLength: 2 }), (conditions, times) => {
      const network = roundNetwork(named(8), conditions, { change: { minPeers: 6 } })
      for (const [i, at] of times.entries()) network.later(at, () => network.evict(network.nodes[7 - i]!.id))
      return expectEnd(network, network.nodes.slice(0, 6))
    }),
    { numRuns: 25 },
  )
})

t.test('more than are all pulled from: each pulls from a sample, and others stand in for those who fail', async (t) => {
  fc.assert(
    fc.property(weather, (conditions) => {
      const n = 14
      const network = roundNetwork(named(n), conditions, { change: { ...sampled(n, 1000, 6, 8, 10), minPeers: 12 }, withholding: ['p013'] })
      secretOrders(network)
      network.later(3 * conditions.training, () => network.evict('p012'))
      expectEnd(network, network.nodes.slice(0, 12))
      return network.nodes.slice(0, 12).every(({ state }) => state.sampling)
    }),
    { numRuns: 20 },
  )
  const n = 40
  const network = roundNetwork(named(n), fair, { change: sampled(n, 1000, 3), silent: named(n).slice(-2) })
  secretOrders(network)
  const live = network.nodes.slice(0, n - 2)
  for (const node of live) {
    node.config.minPeers = n - 2
    for (const gone of named(n).slice(-2))
      for (const type of ['peer', 'peer-gone'] as const) network.feed(node, { type, peer: gone, now: 0 })
  }
  expectEnd(network, live)
  const used = new Set(
    live[0]!.aggregated.map(({ inputs }) =>
      inputs
        .map(({ author }) => author)
        .sort()
        .join(),
    ),
  )
  t.equal(used.size, 3, 'a fresh sample each round')
  const sizes = live.flatMap(({ aggregated }) => aggregated.map(({ inputs }) => inputs.length))
  t.ok(Math.min(...sizes) === 30 && Math.max(...sizes) === 30, 'the absent are made up for, by as many')
})

t.test('the others go on when one dies, and do not wait for it once its connection is lost, or one deadline has passed', async (t) => {
  for (const isSeen of [true, false]) {
    const network = roundNetwork(ids, fair, { change: { stop: { rounds: 8 }, gatherMinMillis: 8000 } })
    network.run(() => network.nodes.every((node) => node.state.round >= 2), 60_000)
    if (isSeen) network.setDown(network.nodes[5]!, true)
    // Known only from gossip that others passed on: nobody notices the end of a connection.
    else network.nodes[5]!.down = true
    const began = network.now()
    expectEnd(network, network.nodes.slice(0, 5), 600_000)
    t.ok(network.now() - began < 7 * 2000 + (isSeen ? 0 : 8000), `about a training time a round: ${network.now() - began}`)
  }
})

t.test('a member that withholds its updates costs a bounded wait, not the round', async () => {
  const network = roundNetwork(ids, fair, { silent: ['p005'], change: { minPeers: 5 } })
  for (const node of network.nodes.slice(0, 5)) network.feed(node, { type: 'peer', peer: 'p005', now: 0 })
  expectEnd(network, network.nodes.slice(0, 5), 6 * 12_000)
})

t.test('a peer ten times slower ends every training run, its updates are used, and it holds nobody up', async (t) => {
  const network = roundNetwork(ids, fair, { slow: ['p001'], change: { stop: { rounds: 60 } } })
  const slow = network.nodes[1]!
  const others = network.nodes.filter((node) => node !== slow)
  network.run(() => others.every((node) => node.finished !== undefined), HOUR)
  t.ok(network.now() < 60 * 2500, 'the others train at their own pace')
  t.same(network.violations, [])
  t.ok(slow.trainings >= 5, `it trained ${slow.trainings} times`)
  t.ok(slow.published.length >= 5, `it announced ${slow.published}`)
  for (const round of slow.published.filter((round) => round > 1 && round < 55)) {
    const users = others.filter(({ aggregated }) =>
      aggregated.some(({ inputs }) => inputs.some((update) => update.author === slow.id && update.round === round)),
    )
    t.ok(users.length >= 4, `its update of round ${round} is used by ${users.length}`)
  }
})

t.test('a peer that was cut off for a few rounds comes back with its own model', async (t) => {
  const network = roundNetwork(ids, fair, { change: { stop: { rounds: 12 } } })
  network.run(() => network.nodes.every((node) => node.state.round >= 2), 60_000)
  const lost = network.nodes[1]!
  network.setDown(lost, true)
  network.run(() => network.nodes.every((node) => node === lost || node.state.round >= 7), 60_000)
  network.setDown(lost, false)
  expectEnd(network)
  t.ok(lost.jumps.some(({ from, to }) => from <= 3 && to >= 6))
  t.same(lost.synced, [])
  t.ok(lost.published.includes(lost.jumps[0]!.to), 'which it announces in the round of the others')
})

t.test('a peer far behind, or new, looks at the state of the others before it goes on', async (t) => {
  const network = roundNetwork(ids, fair, { change: { stop: { rounds: 40 }, minPeers: 4 }, silent: ['p005'] })
  const [late] = network.nodes.slice(-1)
  network.run(() => network.nodes.every((node) => node === late || node.state.round >= 2), 60_000)
  const lost = network.nodes[1]!
  network.setDown(lost, true)
  network.run(() => network.nodes.every((node) => node === late || node === lost || node.state.round >= 20), 120_000)
  network.setDown(lost, false)
  network.setDown(late!, false)
  network.feed(late!, { type: 'start', now: network.now() })
  expectEnd(network)
  for (const node of [lost, late!]) {
    t.match(node.synced, [{ round: Number }])
    t.ok(node.synced[0]!.inputs.length >= 3 && node.synced[0]!.round >= 19)
    t.equal(node.jumps.length <= 1, true)
  }
})

t.test('a network that has finished is joined all the same, and a newcomer then finishes', async (t) => {
  const network = roundNetwork(named(7), fair, { silent: ['p006'], change: { stop: { rounds: 20 }, minPeers: 4 } })
  expectEnd(network, network.nodes.slice(0, 6))
  const late = network.nodes[6]!
  network.setDown(late, false)
  network.feed(late, { type: 'start', now: network.now() })
  expectEnd(network)
  t.match(late.synced, [{ from: 1, round: 20 }])
})

t.test('whoever comes back once the others have finished ends with them, in no round after the last', async () => {
  const crash = fc.record({ who: fc.nat(1), at: fc.nat(25_000) })
  fc.assert(
    fc.property(weather, fc.array(crash, { minLength: 1, maxLength: 4 }), (conditions, crashes) => {
      const network = roundNetwork(named(7), conditions, { change: { stop: { rounds: 12 }, minPeers: 5 } })
      for (const { who, at } of crashes) {
        network.later(at, () => {
          if (!network.nodes[who]!.down) network.crash(network.nodes[who]!, HOUR / 4)
        })
      }
      expectEnd(network)
      return network.nodes.every(({ published, newest }) => newest!.final && published.at(-1) === 13)
    }),
    { numRuns: 40 },
  )
})

t.test('where so few are members that a median without the own model is not to be had, the round takes the own one in', async (t) => {
  const network = roundNetwork(named(4), fair, { silent: ['p003'], change: { stop: { rounds: 20 }, minPeers: 3 }, withholding: ['p002'] })
  for (const node of network.nodes) node.config.minInputs = (f) => f + 2
  network.run(() => network.nodes.slice(0, 3).every((node) => node.state.round >= 12), HOUR)
  network.setDown(network.nodes[3]!, false)
  network.feed(network.nodes[3]!, { type: 'start', now: network.now() })
  expectEnd(network)
  t.same(network.nodes[3]!.synced, [])
})

t.test('partition and heal: the larger part goes on, and all go on together', async () => {
  const network = roundNetwork(named(12), fair, { change: { stop: { rounds: 25 } } })
  network.run(() => network.nodes.every((node) => node.state.round >= 3), 60_000)
  const half = network.nodes.slice(0, 3)
  for (const node of half) network.setDown(node, true)
  network.run(() => network.nodes.slice(3).every((node) => node.state.round >= 9), 120_000)
  for (const node of half) network.setDown(node, false)
  expectEnd(network)
})
