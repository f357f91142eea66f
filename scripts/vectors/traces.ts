// Vectors of the round machine: what happens to a peer, step by step, and what it does about it.
import { parseRule } from '../../protocol/aggregation/index.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { initialState, reduce } from '../../protocol/round/reducer.ts'
import type { RoundConfig, RoundEffect, RoundEvent } from '../../protocol/round/state.ts'
import { byzantineBound, faultsAmong } from '../../protocol/sampling.ts'
import type { Update } from '../../protocol/update.ts'
import { utf8, type VectorFile } from './kit.ts'

/** An update in short; two with the same author and round and another `variant` contradict each other. */
interface Told {
  author: string
  round: number
  final?: true
  variant?: number
}

const SETTINGS = {
  self: 'a',
  minPeers: 4,
  staleness: 2,
  byzantineShare: 2000,
  rule: 'trimmed-mean',
  gatherMinMillis: 1000,
  gatherMaxMillis: 10_000,
  absentAfterMillis: 3_600_000,
  rounds: 30,
}

type Settings = typeof SETTINGS

function configOf({ rounds, byzantineShare, rule, ...settings }: Settings): RoundConfig {
  const byzantine = (members: number) => byzantineBound(members, byzantineShare)
  return {
    ...settings,
    byzantine,
    faults: (members, sampled) => faultsAmong(members, byzantine(members), sampled, rounds),
    minInputs: parseRule(rule).minInputs,
    sampleOrder: (members) => members.toSorted(),
    fullView: LIMITS.fullView,
    fullViewMost: LIMITS.fullViewMost,
    syncLag: LIMITS.syncLag,
    futureRounds: LIMITS.futureRounds,
    maxMembers: LIMITS.members,
    stop: { rounds },
  }
}

function updateOf({ author, round, final, variant = 0 }: Told): Update {
  const signed = utf8(`${author} ${round} ${variant}`)
  return { author, round, final: final ?? false, payload: { hash: signed, length: 0, codec: 'float32' }, envelope: signed, signed }
}

const toldOf = ({ author, round, final, signed }: Update): Told => {
  const variant = Number(new TextDecoder().decode(signed).split(' ')[2])
  return { author, round, ...(final && { final }), ...(variant > 0 && { variant }) }
}

/** An event as written below: updates in short, for the machine made whole. */
type Short =
  | { type: 'record'; update: Told; now: number }
  | { type: 'payload'; update: Told; ok: boolean; now: number }
  | Exclude<RoundEvent, { type: 'record' | 'payload' | 'evidence' }>

const isUpdate = (value: unknown): value is Update => typeof value === 'object' && value !== null && 'signed' in value

/** An effect with its updates in short. */
const readable = (effect: RoundEffect): object =>
  Object.fromEntries(
    Object.entries(effect)
      // What people are told is nobody else's to repeat.
      .filter(([key]) => key !== 'reason')
      .map(([key, value]) => [
        key,
        isUpdate(value) ? toldOf(value) : Array.isArray(value) ? value.map((each) => (isUpdate(each) ? toldOf(each) : each)) : value,
      ]),
  )

function trace(why: string, events: Short[], change: Partial<Settings> = {}) {
  const settings = { ...SETTINGS, ...change }
  const config = configOf(settings)
  let state = initialState()
  const steps = events.map((event) => {
    const whole = ('update' in event ? { ...event, update: updateOf(event.update) } : event) as RoundEvent
    const step = reduce(state, whole, config)
    state = step.state
    const { phase, round, f } = state
    return { event, effects: step.effects.map(readable), ...(step.rejected && { rejected: step.rejected }), phase, round, f }
  })
  return { why, settings, steps }
}

const peers = (now: number, ids = ['b', 'c', 'd']): Short[] => ids.map((peer) => ({ type: 'peer', peer, now }))
const record = (author: string, round: number, now: number, more: Partial<Told> = {}): Short => ({
  type: 'record',
  update: { author, round, ...more },
  now,
})
const payload = (author: string, round: number, now: number, ok = true): Short => ({ type: 'payload', update: { author, round }, ok, now })

/** The own first round begins: three others are there. */
const begun: Short[] = [{ type: 'start', now: 0 }, ...peers(0)]
const trained: Short[] = [...begun, { type: 'trained', round: 1, now: 100 }]
/** What two others trained has come; and what all three did. */
const two: Short[] = [...trained, record('b', 1, 200), payload('b', 1, 210), record('c', 1, 220), payload('c', 1, 230)]
const three: Short[] = [...two, record('d', 1, 240), payload('d', 1, 250)]
/** A newcomer far behind has what it needs of three others. */
const syncing: Short[] = [
  record('b', 7, 10),
  record('c', 7, 20),
  record('d', 7, 30),
  { type: 'start', now: 50 },
  payload('b', 7, 100),
  payload('c', 7, 110),
  payload('d', 7, 120),
]

export const traces = (): VectorFile => ({
  about:
    'The round machine: settings and events in; after each event the effects, in any order, and phase, round and f out. An update is its author, round, whether it is final, and a variant that tells contradicting ones apart. `sampleOrder` is alphabetical here.',
  cases: [
    trace('a round: train, announce, pull, aggregate, and on', [
      ...trained,
      record('b', 1, 200),
      payload('b', 1, 300),
      record('c', 1, 310),
      record('d', 1, 320),
      payload('c', 1, 330),
      payload('d', 1, 340),
      { type: 'aggregated', round: 1, now: 400 },
    ]),
    trace('the deadline passes: what is there is enough', [
      ...trained,
      record('b', 1, 200),
      payload('b', 1, 300),
      record('c', 1, 310),
      payload('c', 1, 330),
      { type: 'wake', now: 10_100 },
    ]),
    trace('too few: it waits and asks again, and never weakens the rule', [
      ...trained,
      record('b', 1, 200),
      record('c', 1, 210),
      payload('b', 1, 300),
      payload('c', 1, 310, false),
      { type: 'wake', now: 10_100 },
      { type: 'wake', now: 15_100 },
      payload('c', 1, 15_200),
    ]),
    trace('a lone peer does not begin', [
      { type: 'start', now: 0 },
      { type: 'wake', now: 1000 },
    ]),
    trace('two updates for one round: their author is shut out', [
      ...trained,
      record('b', 1, 200),
      record('b', 1, 210, { variant: 1 }),
      record('b', 2, 220),
      record('c', 1, 230),
    ]),
    trace('the same update again, an older one, and the own one', [
      ...trained,
      record('b', 1, 200, { final: true }),
      record('b', 1, 210, { final: true }),
      record('c', 3, 220),
      record('c', 2, 230),
      record('a', 1, 240),
    ]),
    trace('one peer alone moves nobody, two of which one is honest do', [...trained, record('b', 4, 200), record('c', 4, 210)]),
    trace('a training run ends first, and is announced where the others are', [
      ...begun,
      record('b', 4, 200),
      record('c', 4, 210),
      { type: 'trained', round: 1, now: 300 },
    ]),
    trace('a newcomer takes over the state of others, then goes on after them', [
      ...syncing,
      { type: 'synced', round: 7, adopted: true, now: 200 },
    ]),
    trace('the own model does better: it is kept, and announced there', [
      ...syncing,
      { type: 'synced', round: 7, adopted: false, now: 200 },
    ]),
    trace('payloads that do not pass after all: the round goes on without them', [
      ...three,
      { type: 'aggregate-failed', round: 1, authors: ['d'], now: 260 },
    ]),
    trace('whoever is revoked is gone at once, and f does not fall', [
      ...trained,
      record('b', 1, 200),
      payload('b', 1, 210),
      { type: 'evict', peers: ['b'] },
      { type: 'wake', now: 220 },
    ]),
    trace('a process that stood still gives the others their time', [...trained, { type: 'leap', millis: 20_000, now: 20_100 }]),
    trace('after a crash: what was trained is told again, byte for byte', [
      { type: 'start', now: 0, resume: { round: 3, stage: 'trained' } },
      ...peers(10),
      record('b', 3, 20),
    ]),
    trace('the round limit', [...three, { type: 'aggregated', round: 1, now: 300 }], { rounds: 1 }),
    trace(
      'back when the others have finished: their results count in the last round, and there is none after it',
      [
        ...peers(0),
        { type: 'start', now: 0, resume: { round: 2, stage: 'trained' } },
        ...['b', 'c', 'd'].map((author) => record(author, 5, 10, { final: true })),
        ...['b', 'c', 'd'].map((author): Short => ({ type: 'payload', update: { author, round: 5, final: true }, ok: true, now: 20 })),
        record('b', 6, 30, { final: true }),
        { type: 'aggregated', round: 4, now: 40 },
      ],
      { rounds: 4 },
    ),
    trace('whoever said nothing until the deadline is not waited for in the next round', [
      ...two,
      { type: 'wake', now: 10_100 },
      { type: 'aggregated', round: 1, now: 10_110 },
      { type: 'trained', round: 2, now: 10_120 },
      record('b', 2, 10_130),
      payload('b', 2, 10_140),
      record('c', 2, 10_150),
      payload('c', 2, 10_160),
    ]),
  ],
})
