import fc from 'fast-check'
import t from 'tap'
import { gatherMillis } from '../../protocol/round/deadline.ts'
import { initialState, reduce } from '../../protocol/round/reducer.ts'
import type { RoundEvent, RoundState } from '../../protocol/round/state.ts'
import { honestRound, inputsOf, neededInputs, waitingFor } from '../../protocol/round/view.ts'
import { configOf, roundNetwork, updateOf, type Weather } from '../helpers/round-network.ts'

const ids = ['a', 'b', 'c', 'd', 'e', 'f']
const fair: Weather = { seed: 1, loss: 0, repeat: 0, delay: 50, training: 1000 }
const weather = fc.record({
  seed: fc.nat(1_000_000),
  loss: fc.double({ min: 0, max: 0.4, noNaN: true }),
  repeat: fc.double({ min: 0, max: 0.5, noNaN: true }),
  delay: fc.integer({ min: 1, max: 1500 }),
  training: fc.integer({ min: 100, max: 3000 }),
})

/** Runs events through the machine of peer `a`. */
function play(events: RoundEvent[], config = configOf('a', 6)): { state: RoundState; effects: string[]; rejected: (string | undefined)[] } {
  let state = initialState()
  const effects: string[] = []
  const rejected: (string | undefined)[] = []
  for (const event of events) {
    const step = reduce(state, event, config)
    state = step.state
    effects.push(...step.effects.map((effect) => effect.type))
    if (event.type === 'record') rejected.push(step.rejected)
  }
  return { state, effects, rejected }
}

const started: RoundEvent[] = [{ type: 'start', now: 0 }, ...ids.slice(1).map((peer): RoundEvent => ({ type: 'peer', peer, now: 0 }))]
const record = (author: string, round: number, mark = '', change = {}): RoundEvent => ({
  type: 'record',
  update: updateOf(author, round, mark, change),
  now: 10,
})

t.test('round 1 starts when minPeers are present, and the wait says for how many', async (t) => {
  const alone = play(started.slice(0, 3))
  t.equal(alone.state.phase, 'waiting')
  t.match(waitingFor(alone.state, configOf('a', 6), 0)?.what, '3 more of 6 peers')
  t.same(play(started).effects, ['train'])
})

t.test('every live peer finishes every round under reordering, loss, repetition and delay', async () => {
  fc.assert(
    fc.property(weather, (conditions) => {
      const network = roundNetwork(ids, conditions)
      return network.run(() => network.nodes.every((node) => node.finished !== undefined), 3_600_000)
    }),
    { numRuns: 60 },
  )
})

t.test('no aggregate has fewer inputs than the rule needs, nor one outside the window, nor two of one author', async () => {
  fc.assert(
    fc.property(weather, (conditions) => {
      const network = roundNetwork(ids, conditions, { slow: ['b'] })
      network.run(() => network.nodes.every((node) => node.finished !== undefined), 3_600_000)
      return network.nodes.every((node) =>
        node.aggregated.every(
          ({ round, f, inputs }) =>
            inputs.length + 1 >= 2 * f + 1 &&
            f === 1 &&
            inputs.every((update) => update.round <= round && (update.final || update.round >= round - 2)) &&
            new Set(inputs.map((update) => update.author)).size === inputs.length &&
            inputs.every((update) => update.author !== node.id),
        ),
      )
    }),
    { numRuns: 40 },
  )
})

t.test("a peer's announced rounds strictly increase", async () => {
  fc.assert(
    fc.property(weather, (conditions) => {
      const network = roundNetwork(ids, conditions, { slow: ['b'] })
      network.run(() => network.nodes.every((node) => node.finished !== undefined), 3_600_000)
      return network.nodes.every(({ published }) => published.every((round, i) => i === 0 || round > published[i - 1]!))
    }),
    { numRuns: 40 },
  )
})

t.test('the machine does not change the state it is given', async () => {
  const network = roundNetwork(ids, fair)
  network.run(() => network.nodes.every((node) => node.state.round >= 2), 60_000)
  const node = network.nodes[0]!
  const before = structuredClone(node.state)
  const events: RoundEvent[] = [record('b', 3), record('c', 9), { type: 'peer', peer: 'z', now: 9 }, { type: 'wake', now: 1e9 }]
  for (const event of events) reduce(node.state, event, node.config)
  t.same(node.state, before)
})

t.test('the others go on when one dies, and do not wait for it once its connection is lost', async (t) => {
  const network = roundNetwork(ids, fair, { change: { stop: { rounds: 8 } } })
  network.run(() => network.nodes.every((node) => node.state.round >= 2), 60_000)
  network.setDown(network.nodes[5]!, true)
  const began = network.now()
  const live = network.nodes.slice(0, 5)
  t.ok(network.run(() => live.every((node) => node.finished !== undefined), 600_000))
  t.ok(network.now() - began < 7 * 2000, 'about a training time a round')
})

t.test('a member that withholds its updates costs a bounded wait, not the round', async (t) => {
  const network = roundNetwork(ids, fair, { silent: ['f'], change: { minPeers: 5 } })
  for (const node of network.nodes.slice(0, 5)) network.feed(node, { type: 'peer', peer: 'f', now: 0 })
  t.ok(network.run(() => network.nodes.slice(0, 5).every((node) => node.finished !== undefined), 6 * 12_000))
})

t.test('a peer ten times slower still counts and holds nobody up', async (t) => {
  const network = roundNetwork(ids, fair, { slow: ['b'], change: { stop: { rounds: 30 } } })
  const others = network.nodes.filter((node) => node.id !== 'b')
  t.ok(network.run(() => others.every((node) => node.finished !== undefined), 600_000))
  t.ok(network.now() < 30 * 3000, 'the others train at their own pace')
  t.ok(
    others.some((node) => node.aggregated.some(({ inputs }) => inputs.some((update) => update.author === 'b'))),
    'its updates are used',
  )
})

t.test('a peer that was cut off jumps ahead on the word of more than the attackers', async (t) => {
  const network = roundNetwork(ids, fair, { change: { stop: { rounds: 12 } } })
  network.run(() => network.nodes.every((node) => node.state.round >= 2), 60_000)
  const lost = network.nodes[1]!
  network.setDown(lost, true)
  network.run(() => network.nodes.every((node) => node === lost || node.state.round >= 7), 60_000)
  network.setDown(lost, false)
  t.ok(network.run(() => network.nodes.every((node) => node.finished !== undefined), 600_000))
  t.ok(lost.jumps.some(({ from, to }) => from <= 3 && to >= 6))
})

t.test("one peer's word alone never makes another jump, however far ahead it claims to be", async (t) => {
  const { state } = play([...started, record('f', 50)])
  t.equal(state.round, 1)
  t.equal(honestRound(state, configOf('a', 6)), 0)
  const two = play([...started, record('f', 50), record('e', 7)])
  t.equal(two.state.round, 7, 'two words reach as far as the lesser of them')
  t.ok(two.effects.includes('cancel-training'))
})

t.test('far-future records are refused once enough is known to tell, and held unpulled before', async (t) => {
  const held = play([...started, record('f', 1_000_000)])
  t.same(held.rejected, [undefined])
  t.notOk(held.effects.includes('pull'))
  const { rejected } = play([...started, record('b', 1), record('c', 1), record('d', 1), record('f', 1_000_000)])
  t.same(rejected, [undefined, undefined, undefined, 'future-round'])
})

t.test('replays, older rounds and the own record are refused without blame', async (t) => {
  const { rejected, state } = play([...started, record('b', 1), record('b', 1), record('b', 3), record('b', 2), record('a', 1)])
  t.same(rejected, [undefined, 'duplicate', undefined, 'stale-round', 'own'])
  t.equal(state.shutOut.size, 0)
})

t.test('two updates of one author for one round shut it out, for everyone who sees the pair', async (t) => {
  const { rejected, state, effects } = play([...started, record('b', 1, 'x'), record('b', 1, 'y'), record('b', 2)])
  t.same(rejected, [undefined, 'shut-out', 'shut-out'])
  t.ok(state.shutOut.has('b'))
  t.ok(effects.includes('equivocation'))
  t.notOk(inputsOf(state, configOf('a', 6)).some((update) => update.author === 'b'))
  const pair = [updateOf('b', 1, 'x'), updateOf('b', 1, 'y')] as const
  t.ok(play([...started, { type: 'evidence', updates: pair }]).state.shutOut.has('b'))
})

t.test('with too few inputs the round waits and says so; the rule is never weakened', async (t) => {
  const config = configOf('a', 6)
  const { state } = play([
    ...started,
    { type: 'trained', round: 1, now: 1000 },
    record('b', 1),
    { type: 'payload', update: updateOf('b', 1), ok: true, now: 1100 },
    { type: 'wake', now: 60_000 },
  ])
  t.equal(state.phase, 'gathering')
  t.equal(neededInputs(state, config), 3)
  t.match(waitingFor(state, config, 60_000)?.what, '1 more of 3 updates')
})

t.test('before the start, members and records are taken note of and nothing is done', async (t) => {
  const early: RoundEvent[] = [...started.slice(1), record('b', 4), record('c', 4), record('d', 4)]
  t.same(play(early).effects, [])
  const { state, effects } = play([...early, { type: 'start', now: 20, resume: { round: 4, stage: 'trained' } }])
  t.match(state, { phase: 'gathering', round: 4 })
  t.same(effects.filter((effect) => effect === 'pull').length, 3, 'what was recalled counts in the round that goes on')
  t.notOk(effects.includes('jumped'))
})

t.test('a round whose payloads were lost on disk asks for them again', async (t) => {
  const { state, effects } = play([
    ...started,
    { type: 'trained', round: 1, now: 0 },
    ...['b', 'c'].flatMap((id): RoundEvent[] => [record(id, 1), { type: 'payload', update: updateOf(id, 1), ok: true, now: 5 }]),
    { type: 'wake', now: 20_000 },
    { type: 'aggregate-failed', round: 1, authors: ['b'], now: 20_010 },
    { type: 'wake', now: 25_010 },
  ])
  t.equal(state.phase, 'gathering')
  t.equal(effects.at(-2), 'pull')
  t.equal(effects.at(-1), 'wake')
})

t.test('a clock that wakes the round too early is asked again', async (t) => {
  const gathering: RoundEvent[] = [...started, { type: 'trained', round: 1, now: 1000 }]
  const { state, effects } = play([...gathering, { type: 'wake', now: 1001 }])
  t.equal(state.phase, 'gathering')
  t.equal(effects.filter((effect) => effect === 'wake').length, 2)
})

t.test('a restart republishes what was signed and gathers on; a finished peer stays finished', async (t) => {
  const trained = play([{ type: 'start', now: 0, resume: { round: 4, stage: 'trained' } }])
  t.match(trained, { state: { phase: 'gathering', round: 4 }, effects: ['publish', 'wake'] })
  const aggregated = play([{ type: 'start', now: 0, resume: { round: 4, stage: 'aggregated' } }])
  t.match(aggregated, { state: { phase: 'training', round: 5 }, effects: ['train'] })
  t.match(play([{ type: 'start', now: 0, resume: { round: 6, stage: 'final' } }]).state, { phase: 'finished' })
  const joined = play([{ type: 'start', now: 0, resume: { round: 4, stage: 'trained' } }, ...started.slice(1)])
  t.same([...joined.state.attempted].sort(), ids.slice(1), 'members met after the restart are pulled from in the same round')
})

t.test('the target must be met by the own model and the median of the others, two rounds running', async (t) => {
  const config = configOf('a', 3, { minPeers: 3, stop: { rounds: 100, targetAccuracy: 0.9 } })
  const round = (r: number, own: number, others: number): RoundEvent[] => [
    { type: 'trained', round: r, now: r },
    ...['b', 'c'].flatMap((id): RoundEvent[] => [
      record(id, r, '', { accuracy: others }),
      { type: 'payload', update: updateOf(id, r), ok: true, now: r },
    ]),
    { type: 'aggregated', round: r, accuracy: own, now: r },
  ]
  const begin = started.slice(0, 3)
  t.equal(play([...begin, ...round(1, 0.95, 0.95)], config).state.phase, 'training')
  t.equal(play([...begin, ...round(1, 0.95, 0.95), ...round(2, 0.95, 0.95)], config).state.phase, 'finished')
  t.equal(play([...begin, ...round(1, 0.95, 0.95), ...round(2, 0.8, 0.95)], config).state.phase, 'training')
  t.equal(play([...begin, ...round(1, 0.95, 0.5), ...round(2, 0.95, 0.5)], config).state.phase, 'training')
})

t.test('the number of members kept is bounded; the longest silent absent one makes room', async (t) => {
  const config = configOf('a', 3, { maxMembers: 3 })
  const events: RoundEvent[] = [{ type: 'start', now: 0 }]
  for (const [i, peer] of ['b', 'c', 'd'].entries()) events.push({ type: 'peer', peer, now: i })
  events.push({ type: 'peer', peer: 'e', now: 5 })
  t.notOk(play(events, config).state.members.has('e'), 'nobody present is forgotten')
  events.push({ type: 'peer-gone', peer: 'c', now: 6 }, { type: 'peer', peer: 'e', now: 7 })
  t.same([...play(events, config).state.members.keys()].sort(), ['b', 'd', 'e'])
})

t.test('the gathering deadline follows the usual arrivals and not the slowest, within bounds', async (t) => {
  t.equal(gatherMillis([], 500, 9000), 9000)
  t.equal(gatherMillis([100, 110, 120], 500, 9000), 500)
  t.equal(gatherMillis([1000, 1010, 1020, 1030, 60_000], 500, 9000), 1060)
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e6, noNaN: true })),
      (a) => gatherMillis(a, 500, 9000) >= 500 && gatherMillis(a, 500, 9000) <= 9000,
    ),
  )
})
