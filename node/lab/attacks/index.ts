// The lab's attacks: what colluding attackers send that know every honest model of the round. Written as rules are: `alie`, `ipm(0.5)`,
// `fang-trim(b=2, r=1.5)`.
import { checkFinite } from '../../../protocol/aggregation/checks.ts'
import type { Vector } from '../../../protocol/aggregation/matrix.ts'
import { given, named } from '../../../protocol/aggregation/parameters.ts'
import { type Call, callText, parseCalls } from '../../../protocol/aggregation/parse.ts'
import { MurmurError } from '../../../protocol/errors.ts'
import { adaptive } from './adaptive.ts'
import { alie } from './alie.ts'
import { backdoor } from './backdoor.ts'
import { freeRider, mimic, SENT } from './copies.ts'
import { dissensus } from './dissensus.ts'
import { drift } from './drift.ts'
import { fangTrim } from './fang-trim.ts'
import { gaussian } from './gaussian.ts'
import { labelFlip } from './label-flip.ts'
import { foe, ipm, signFlip } from './mean-step.ts'
import { DIRECTIONS, minMax } from './min-max.ts'
import { LAB_ATTACKS, type LAB_TIMINGS, type LabAttackName } from './names.ts'
import { optimalAlie, optimalIpm } from './optimal.ts'
import { spectral } from './spectral.ts'
import type { BoundAttack, Definition, ForgeOptions, Knowledge } from './types.ts'
import { alike, meanOf } from './vectors.ts'

export { LAB_ATTACKS } from './names.ts'
export type { AboutData, ForgeOptions } from './types.ts'

export interface LabAttack extends Pick<BoundAttack, 'poison' | 'success'> {
  readonly name: LabAttackName
  /** Canonical text. */
  readonly text: string
  /** The vectors depend on who receives them. */
  readonly perTarget: boolean
  /** It is made against the receivers' rule, all receivers being alike. */
  readonly againstRule: boolean
  /** The round at whose beginning the attackers join; without it they are there from the first. */
  readonly joins?: number
  /** @throws bad-argument; what the rule throws that an optimal attack is against */
  forge(honest: readonly Vector[], f: number, options?: ForgeOptions): readonly Float64Array[]
}

const positive = { above: 0 }
const fromZero = { min: 0 }
/** Each evaluation runs the rule. */
const evaluations = { min: 1, max: 100, whole: true }
const share = { above: 0, max: 1 }
const place = { min: 0, whole: true }

const DEFINITIONS: Record<LabAttackName, Definition> = {
  'label-flip': { takes: [], build: () => labelFlip },
  'sign-flip': { takes: ['scale'], build: ({ number }) => signFlip(number('scale', 1, fromZero)) },
  gaussian: { takes: ['sigma', 'mu'], build: ({ number }) => gaussian(number('sigma', 1, fromZero), number('mu', 0)) },
  ipm: { takes: ['tau'], build: ({ number }) => ipm(number('tau', 2)) },
  alie: { takes: ['z'], build: ({ numberOr }) => alie(numberOr('z', ['formula'], 'formula')) },
  foe: { takes: ['factor'], build: ({ number }) => foe(number('factor', 1.1)) },
  mimic: { takes: ['peer'], build: ({ number }) => mimic(number('peer', 0, place)) },
  'optimal-ipm': {
    takes: ['evals', 'delta'],
    build: ({ number }) => optimalIpm({ evals: number('evals', 20, evaluations), delta: number('delta', 10, positive) }),
  },
  'optimal-alie': {
    takes: ['evals', 'delta'],
    build: ({ number }) => optimalAlie({ evals: number('evals', 20, evaluations), delta: number('delta', 10, positive) }),
  },
  'min-max': { takes: ['direction'], build: ({ word }) => minMax(word('direction', DIRECTIONS, 'std')) },
  'fang-trim': {
    takes: ['b', 'r'],
    build: ({ number, numberOr }) => fangTrim(number('b', 2, { min: 1 }), numberOr('r', ['drawn'], 'drawn', { min: 1 })),
  },
  dissensus: { takes: ['epsilon'], build: ({ number }) => dissensus(number('epsilon', 1.5, fromZero)) },
  spectral: {
    takes: ['factor', 'evals', 'delta'],
    build: ({ number, numberOr }) =>
      spectral(numberOr('factor', ['optimal'], 1, fromZero), {
        evals: number('evals', 16, evaluations),
        delta: number('delta', 1, positive),
      }),
  },
  backdoor: {
    takes: ['target', 'size', 'value', 'share', 'scale'],
    build: ({ number, numberOr }) =>
      backdoor({
        target: number('target', 0, place),
        size: number('size', 3, { min: 1, whole: true }),
        value: numberOr('value', ['brightest'], 'brightest'),
        share: number('share', 0.5, share),
        scale: numberOr('scale', ['all'], 'all', positive),
      }),
  },
  drift: { takes: ['z'], build: ({ numberOr }) => drift(numberOr('z', ['formula'], 'formula')) },
  adaptive: { takes: [], build: () => adaptive },
  'free-rider': { takes: ['sent'], build: ({ word }) => freeRider(word('sent', SENT, 'stale')) },
}

/** What may stand before an attack, and its parameter. */
const TIMINGS: Record<keyof typeof LAB_TIMINGS, string> = { sleeper: 'rounds', sybil: 'round' }

const isKnown = (name: string): name is LabAttackName => Object.hasOwn(DEFINITIONS, name)

/** @throws bad-argument, task-invalid: what is known, where the text is malformed or names something unknown */
export function parseLabAttack(text: string): LabAttack {
  const calls = parseCalls(text, 'attack')
  const call = calls.at(-1)!
  const { name } = call
  if (!isKnown(name)) {
    throw new MurmurError('bad-argument', `"${name}" is not a known attack; known are: ${Object.keys(LAB_ATTACKS).join(', ')}.`)
  }
  const { takes, build } = DEFINITIONS[name]
  const own = named(call, takes)
  const { forge = sendTrained, poison, success, perTarget = false, againstRule = false } = build(given(own))
  const timing = timingOf(calls.slice(0, -1))
  return {
    name,
    text: [...timing.calls, own].map(callText).join(' | '),
    perTarget,
    againstRule,
    ...(timing.joins !== undefined && { joins: timing.joins }),
    ...(poison && { poison }),
    ...(success && { success }),
    forge(honest, f, options = {}) {
      const known = knowledge(honest, f, options)
      if (f === 0) return []
      // They are not told apart from the honest until they begin.
      if ((options.round ?? Number.POSITIVE_INFINITY) <= timing.asleep) return alike(f, meanOf(honest))
      if (poison !== undefined && known.trained === undefined) throw needsTraining(name)
      const vectors = forge(known)
      // Often all of them send the same one.
      const sent = [...new Set(vectors)]
      const bad = sent[0]!.findIndex((_, c) => sent.some((vector) => !Number.isFinite(vector[c])))
      if (bad < 0) return vectors
      throw new MurmurError(
        'bad-argument',
        `The attack "${text}" leaves what float64 can hold, at coordinate ${bad}; give it a smaller parameter.`,
      )
    },
  }
}

/** When attackers come, and when they begin. @throws bad-argument, task-invalid */
function timingOf(before: readonly Call[]): { calls: Call[]; joins: number | undefined; asleep: number } {
  const calls: Call[] = []
  const rounds = new Map<string, number>()
  for (const call of before) {
    if (!Object.hasOwn(TIMINGS, call.name)) {
      throw new MurmurError(
        'bad-argument',
        `"${call.name}" cannot stand before an attack; what can is: ${Object.keys(TIMINGS).join(', ')}.`,
      )
    }
    const parameter = TIMINGS[call.name as keyof typeof TIMINGS]
    const own = named(call, [parameter])
    calls.push(own)
    rounds.set(call.name, given(own).number(parameter, 5, { min: 1, whole: true }))
  }
  return { calls, joins: rounds.get('sybil'), asleep: rounds.get('sleeper') ?? 0 }
}

const sendTrained = ({ trained }: Knowledge) => trained!.map((vector) => Float64Array.from(vector))

const needsTraining = (name: string) =>
  new MurmurError(
    'bad-argument',
    `The attack "${name}" is one on data: give the models that attackers trained on such data with --trained, or use murmur lab run.`,
  )

/** @throws bad-argument */
function knowledge(honest: readonly Vector[], f: number, options: ForgeOptions): Knowledge {
  const bad = (message: string) => new MurmurError('bad-argument', message)
  const h = honest.length
  if (h === 0) throw bad('There is no honest vector; give at least one.')
  checkFinite(honest)
  if (!Number.isInteger(f) || f < 0 || f > h) {
    throw bad(`There cannot be ${f} attackers beside ${h} honest vectors; give a whole number from 0 to ${h}.`)
  }
  const { own = 0, start, trained, weights, graph, seed = 0 } = options
  if (!Number.isInteger(own) || own < 0 || own >= h)
    throw bad(`There is no honest vector at index ${own} of ${h}; give one of 0 to ${h - 1}.`)
  for (const others of [start && [start], trained]) if (others !== undefined) checkFinite([honest[0]!, ...others])
  if (trained !== undefined && trained.length !== f)
    throw bad(`There are ${trained.length} trained vectors for ${f} attackers; give one for each.`)
  if (graph !== undefined && graph.length !== h * h) {
    throw bad(`The graph has ${graph.length} weights for ${h} honest vectors; give ${h * h}, one for each pair.`)
  }
  const mixing = weights === undefined ? new Float64Array(h + f).fill(1 / (h + f)) : Float64Array.from(weights)
  if (!mixing.every(isWeight) || (graph !== undefined && !Array.prototype.every.call(graph, isWeight))) {
    throw bad('A weight of the graph is negative or not finite; weights are 0 or more.')
  }
  if (mixing.length !== h + f) throw bad(`There are ${mixing.length} weights for ${h + f} vectors; give one for each.`)
  return { ...options, honest, f, own, weights: mixing, seed }
}

const isWeight = (weight: number): boolean => weight >= 0 && weight < Number.POSITIVE_INFINITY
