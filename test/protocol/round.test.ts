import fc from 'fast-check'
import t from 'tap'
import { gatherMillis } from '../../protocol/round/deadline.ts'
import { initialState, reduce } from '../../protocol/round/reducer.ts'
import type { RoundEvent, RoundState } from '../../protocol/round/state.ts'
import { awaited, honestRound, inputsOf, neededInputs, waitingFor } from '../../protocol/round/view.ts'
import { byzantineBound } from '../../protocol/sampling.ts'
import { configOf, roundNetwork, updateOf, type Weather } from '../helpers/round-network.ts'

const ids = ['a', 'b', 'c', 'd', 'e', 'f']
const fair: Weather = { seed: 1, loss: 0, repeat: 0, delay: 50, training: 1000 }
const endless = configOf('a', 6, { stop: {} })
/** Runs events through the machine of peer `a`. */
function play(events: RoundEvent[], config = endless): { state: RoundState; effects: string[]; rejected: (string | undefined)[] } {
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

t.test('the machine does not change the state it is given', async () => {
  const network = roundNetwork(ids, fair)
  network.run(() => network.nodes.every((node) => node.state.round >= 2), 60_000)
  const node = network.nodes[0]!
  const before = structuredClone(node.state)
  const events: RoundEvent[] = [record('b', 3), record('c', 9), { type: 'peer', peer: 'z', now: 9 }, { type: 'wake', now: 1e9 }]
  for (const event of events) reduce(node.state, event, node.config)
  t.same(node.state, before)
})

t.test("one peer's word alone never makes another jump, however far ahead it claims to be", async (t) => {
  const { state } = play([...started, record('f', 50)])
  t.equal(state.round, 1)
  t.equal(honestRound(state, configOf('a', 6)), 0)
  const two = play([...started, record('f', 50), record('e', 7), { type: 'trained', round: 1, now: 900 }])
  t.equal(two.state.round, 7, 'two words reach as far as the lesser of them')
  t.match(two.state, { phase: 'gathering', round: 7 })
  t.same(two.effects, ['train', 'jumped', 'announce', 'wake', 'pull'], 'with the own model, announced where the others are')
})

t.test('far-future records are refused once enough is known to tell, and held unpulled before', async (t) => {
  const held = play([...started, record('f', 1_000_000)])
  t.same(held.rejected, [undefined])
  t.notOk(held.effects.includes('pull'))
  const { rejected } = play([...started, record('b', 1), record('c', 1), record('d', 1), record('f', 1_000_000)])
  t.same(rejected, [undefined, undefined, undefined, 'future-round'])
})

t.test('a peer that was away for hundreds of rounds hears how far the others are, however little it passes on', async (t) => {
  const known = ['b', 'c', 'd', 'e', 'f'].map((name) => record(name, 1))
  const { state, rejected } = play([...started, ...known, record('b', 500), record('c', 501)])
  t.same(rejected.slice(known.length), ['future-round', 'future-round'])
  t.ok(state.round >= 500, `it is in round ${state.round}`)
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
  t.match(trained, { state: { phase: 'gathering', round: 4 }, effects: ['announce', 'wake'] })
  const aggregated = play([{ type: 'start', now: 0, resume: { round: 4, stage: 'aggregated' } }])
  t.match(aggregated, { state: { phase: 'training', round: 5 }, effects: ['train'] })
  t.match(play([{ type: 'start', now: 0, resume: { round: 6, stage: 'final' } }]).state, { phase: 'finished' })
  const joined = play([{ type: 'start', now: 0, resume: { round: 4, stage: 'trained' } }, ...started.slice(1)])
  t.same([...joined.state.attempted].sort(), ids.slice(1), 'members met after the restart are pulled from in the same round')
})

t.test('a training run is not cut off by others who are faster, but for the first one after a start', async (t) => {
  const far = [record('b', 30), record('c', 30)]
  const unaware = play([...started, ...far])
  t.match(unaware.state, { phase: 'syncing', round: 30, syncFrom: 1 })
  t.ok(unaware.effects.includes('cancel-training'))
  const second: RoundEvent[] = [{ type: 'start', now: 0, resume: { round: 3, stage: 'trained' } }, ...started.slice(1)]
  const inputs = ['b', 'c', 'd', 'e', 'f'].flatMap((id): RoundEvent[] => [
    record(id, 3),
    { type: 'payload', update: updateOf(id, 3), ok: true, now: 20 },
  ])
  const next: RoundEvent[] = [{ type: 'aggregated', round: 3, now: 30 }]
  const slow = play([
    ...second,
    ...inputs,
    ...next,
    { type: 'trained', round: 4, now: 40 },
    ...next.map((event) => ({ ...event, round: 4 })),
  ])
  t.match(slow.state, { phase: 'gathering', round: 4 })
  const busy = play([{ type: 'start', now: 0, resume: { round: 3, stage: 'aggregated' } }, ...started.slice(1)])
  const later = { ...busy.state, firstRound: 1 }
  const step = reduce(later, { type: 'record', update: updateOf('b', 30), now: 10 }, endless)
  const { state, effects } = reduce(step.state, { type: 'record', update: updateOf('c', 30), now: 10 }, endless)
  t.match(state, { phase: 'training', round: 4 })
  t.same(effects, [])
})

t.test('far behind, the models of 2f+1 others are gathered, and what becomes of them decides how to go on', async (t) => {
  const config = configOf('a', 6, { stop: { rounds: 40 } })
  const begin: RoundEvent[] = [{ type: 'start', now: 0, resume: { round: 3, stage: 'aggregated' } }, ...started.slice(1, 4)]
  const far = ['b', 'c', 'd'].map((id) => record(id, 20))
  const two = ['b', 'c'].map((id): RoundEvent => ({ type: 'payload', update: updateOf(id, 20), ok: true, now: 20 }))
  const waiting = play([...begin, ...far, ...two], config)
  t.match(waiting.state, { phase: 'syncing', round: 20, syncFrom: 4 })
  t.match(waitingFor(waiting.state, config, 20)?.what, 'models of round 20 of')
  const failed: RoundEvent[] = [{ type: 'payload', update: updateOf('d', 20), ok: false, now: 30 }]
  t.match(waitingFor(play([...begin, ...far, ...two, ...failed], config).state, config, 30)?.what, '1 more of 3 models near round 20')
  const third: RoundEvent = { type: 'payload', update: updateOf('d', 20), ok: true, now: 30 }
  const ready = play([...begin, ...far, ...two, third], config)
  t.equal(ready.effects.at(-1), 'sync')
  t.notOk(ready.effects.includes('aggregate') || ready.effects.includes('announce'), 'nothing is announced before')
  const synced = (adopted: boolean): RoundEvent => ({ type: 'synced', round: 20, adopted, now: 40 })
  const adopted = play([...begin, ...far, ...two, third, synced(true)], config)
  t.match(adopted.state, { phase: 'training', round: 21, syncFrom: undefined })
  const kept = play([...begin, ...far, ...two, third, synced(false)], config)
  t.match(kept.state, { phase: 'aggregating', round: 20, syncFrom: undefined }, 'what is at hand is aggregated with the own model')
  t.match(kept.effects.slice(-4), ['jumped', 'announce', 'wake', 'aggregate'])
  const lost = play([...begin, ...far, ...two, third, { type: 'aggregate-failed', round: 20, authors: ['d'], now: 50 }], config)
  t.match(lost.state, { phase: 'syncing', round: 20, syncFrom: 4 })
})

t.test('a round that the others have left, and whose updates are not to be had, is left too', async (t) => {
  const events: RoundEvent[] = [...started, { type: 'trained', round: 1, now: 0 }, ...['b', 'c', 'd'].map((id) => record(id, 2))]
  t.match(play(events).state, { phase: 'gathering', round: 1 }, 'one round is ordinary lag')
  t.match(play([...events, { type: 'wake', now: 20_000 }]).state, { phase: 'gathering', round: 2 })
})

t.test('whoever let a deadline pass without a word is waited for again only when it is heard of', async (t) => {
  const others = ['b', 'c', 'd', 'e']
  const arrive = (round: number, now: number) =>
    others.flatMap((id): RoundEvent[] => [
      { ...record(id, round), now } as RoundEvent,
      { type: 'payload', update: updateOf(id, round), ok: true, now },
    ])
  const first: RoundEvent[] = [...started, { type: 'trained', round: 1, now: 0 }, ...arrive(1, 5)]
  t.match(play(first).state, { phase: 'gathering' }, 'f has said nothing')
  const second: RoundEvent[] = [
    ...first,
    { type: 'wake', now: 10_000 },
    { type: 'aggregated', round: 1, now: 10_010 },
    { type: 'trained', round: 2, now: 10_020 },
  ]
  t.match(play([...second, ...arrive(2, 10_030)]).state, { phase: 'aggregating', round: 2 }, 'nor is it waited for another time')
  for (const sign of [record('f', 1), { type: 'peer', peer: 'f', now: 10_025 } as const]) {
    const { state } = play([...second, sign, ...arrive(2, 10_030)])
    t.match(state, { phase: 'gathering', round: 2 })
    t.same(awaited(state), ['f'])
  }
  const late = [...second, record('f', 2), ...arrive(2, 10_030), { type: 'wake', now: 21_000 } as const]
  t.match(play(late).state.members.get('f'), { present: true, pull: 'pulling' }, 'whose payload is on its way has spoken')
})

t.test('nobody takes part in a round after the last: those who come back are told its result', async (t) => {
  const config = configOf('a', 6, { stop: { rounds: 40 } })
  const finals = ids.slice(1).map((id) => record(id, 41, '', { final: true }))
  const arrived = ids
    .slice(1)
    .map((id): RoundEvent => ({ type: 'payload', update: updateOf(id, 41, '', { final: true }), ok: true, now: 20 }))
  const back = (round: number, stage: 'trained' | 'aggregated') =>
    play([...started.slice(1), { type: 'start', now: 0, resume: { round, stage } }, ...finals, ...arrived], config)
  t.match(back(39, 'aggregated').state, { phase: 'training', round: 40 }, 'one round behind is ordinary lag')
  const two = back(38, 'trained')
  t.match(two.state, { phase: 'aggregating', round: 40 })
  t.ok(two.effects.includes('jumped') && two.effects.includes('announce'), 'what it learned is told in the last round')
  t.equal(inputsOf(two.state, config).length, 5, 'with all that the others have ended with')
  t.match(back(40, 'trained').state, { phase: 'aggregating', round: 40 })
  t.match(back(40, 'aggregated').state, { phase: 'finished', round: 40 })
  const newcomer = play([...started.slice(1), ...finals, { type: 'start', now: 0 }, ...arrived], config)
  t.match(newcomer, { state: { phase: 'aggregating', round: 40 }, effects: /sync/ })
  const beyond = [record('b', 41), record('c', 42, '', { final: true }), record('d', 41, '', { final: true })]
  t.same(play([...started, ...beyond], config).rejected, ['future-round', 'future-round', undefined])
})

t.test('in the last round an update at hand is not pulled again because its author has finished', async (t) => {
  const config = configOf('a', 6, { stop: { rounds: 1 } })
  const begin: RoundEvent[] = [...started, { type: 'trained', round: 1, now: 0 }, record('b', 1)]
  const final = record('b', 2, '', { final: true })
  const held = play([...begin, { type: 'payload', update: updateOf('b', 1), ok: true, now: 5 }, final], config)
  t.equal(held.effects.filter((effect) => effect === 'pull').length, 1)
  t.equal(inputsOf(held.state, config)[0]?.round, 1)
  const gone = play([...begin, final], config)
  t.equal(gone.effects.filter((effect) => effect === 'pull').length, 2, 'its author may not serve the other any more')
})

t.test('time in which the process stood still counts neither against the round nor against the others', async (t) => {
  const events: RoundEvent[] = [...started, { type: 'trained', round: 1, now: 0 }, record('b', 1), record('c', 1)]
  const arrived = ['b', 'c'].map((id): RoundEvent => ({ type: 'payload', update: updateOf(id, 1), ok: true, now: 7_200_000 }))
  t.equal(play([...events, ...arrived]).state.phase, 'aggregating', 'unnoticed, the deadline has passed')
  const { state } = play([...events, { type: 'leap', millis: 7_200_000, now: 7_200_000 }, ...arrived])
  t.match(state, { phase: 'gathering', announcedAt: 7_200_000, deadline: 7_210_000 })
  t.equal(reduce(state, { type: 'aggregated', round: 1, now: 7_200_001 }, configOf('a', 6)).state, state)
  t.same(awaited(state), ['d', 'e', 'f'])
  t.ok([...state.members.values()].every((member) => member.seen >= 7_200_000))
})

t.test('who is no member any more vanishes from the round in hand, and f stays', async (t) => {
  const config = configOf('a', 10, { minPeers: 10 })
  const peers = 'bcdefghij'.split('')
  const begin: RoundEvent[] = [{ type: 'start', now: 0 }, ...peers.map((peer): RoundEvent => ({ type: 'peer', peer, now: 0 }))]
  const events: RoundEvent[] = [...begin, { type: 'trained', round: 1, now: 0 }, record('b', 1)]
  const { state, effects } = play([...events, { type: 'evict', peers: ['b', 'c', 'd', 'e', 'f', 'g'] }], config)
  t.same([...state.members.keys()], ['h', 'i', 'j'])
  t.same(state.attempted, ['h', 'i', 'j'])
  t.equal(state.f, 2)
  t.equal(effects.at(-1), 'wake', 'the round looks at once whether it can go on')
  const inputs = ['h', 'i', 'j'].flatMap((id): RoundEvent[] => [
    record(id, 1),
    { type: 'payload', update: updateOf(id, 1), ok: true, now: 1 },
  ])
  const rest: RoundEvent[] = [{ type: 'evict', peers: ['b', 'c', 'd', 'e', 'f', 'g'] }, ...inputs]
  t.equal(play([...events, ...rest, { type: 'wake', now: 20_000 }], config).state.phase, 'gathering', '4 inputs do not withstand 2')
  const anew = play([...events, ...rest, { type: 'wake', now: 3_600_001 }], config)
  t.match(anew.state, { phase: 'aggregating', f: 1 }, 'after absentAfter the round is drawn anew')
})

t.test('a peer that pulls from all goes on so up to 36 others; one that samples goes back at 30', async (t) => {
  const ids = Array.from({ length: 40 }, (_, i) => `m${String(i).padStart(2, '0')}`)
  const config = configOf('a', 2, { faults: (n, s) => (s >= n - 1 ? byzantineBound(n, 1000) : 5) })
  const met = (from: number, to: number): RoundEvent[] => ids.slice(from, to).map((peer): RoundEvent => ({ type: 'peer', peer, now: 0 }))
  const aggregated = (state: RoundState): RoundState =>
    reduce({ ...state, phase: 'aggregating' }, { type: 'aggregated', round: state.round, now: 1 }, config).state
  const { state } = play([{ type: 'start', now: 0 }, ...met(0, 36)], config)
  t.match({ ...state, size: state.attempted.length }, { sampling: false, size: 36, f: 3 })
  t.equal(aggregated(state).attempted.length, 36)
  const more = play([{ type: 'start', now: 0 }, ...met(0, 40)], config).state
  t.match({ size: more.attempted.length, reserve: more.reserve, f: more.f }, { size: 36, reserve: ids.slice(36), f: 5 })
  const sampling = aggregated(more)
  t.match({ ...sampling, size: sampling.attempted.length }, { sampling: true, size: 30, f: 5 })
  const fewer = reduce(sampling, { type: 'evict', peers: ids.slice(33) }, config).state
  t.match({ ...aggregated(fewer), size: aggregated(fewer).attempted.length }, { sampling: true, size: 30 })
  const few = reduce(sampling, { type: 'evict', peers: ids.slice(30) }, config).state
  t.match({ ...aggregated(few), size: aggregated(few).attempted.length }, { sampling: false, size: 30 })
})

t.test('attempted ones that fail are made up for in the order drawn, and f follows', async (t) => {
  const ids = Array.from({ length: 60 }, (_, i) => `m${String(i).padStart(2, '0')}`)
  const config = configOf('a', 61, { faults: (_, s) => Math.min(16, s >> 1), stop: { rounds: 9 } })
  const met = ids.map((peer): RoundEvent => ({ type: 'peer', peer, now: 0 }))
  const begin: RoundEvent[] = [{ type: 'start', now: 0 }, ...met]
  const { state } = play(begin, config)
  t.match({ ...state, attempted: state.attempted.length }, { attempted: 30, f: 15 })
  const failing: RoundEvent[] = [
    { type: 'peer-gone', peer: 'm03', now: 1 },
    record('m04', 1),
    { type: 'payload', update: updateOf('m04', 1), ok: false, now: 2 },
    record('m05', 1, 'x'),
    record('m05', 1, 'y'),
    { type: 'peer-gone', peer: 'm07', now: 3 },
  ]
  const extended = play([...begin, ...failing], config).state
  t.same(extended.attempted, ids.slice(0, 36), 'four failed; with 32 or more f is 16, for which 32 others are needed')
  t.equal(extended.f, 16)
  const back = play([...begin, ...failing, { type: 'peer', peer: 'm03', now: 4 }], config).state
  t.same([back.attempted.length, back.f], [36, 16], 'nothing is taken back')
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
