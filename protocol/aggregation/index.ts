// Aggregation rules: how one round's models become the next one without a malicious minority steering it.
// A rule is written `pre-aggregation | rule`, e.g. `nnm | trimmed-mean` or `clip(2) | geometric-median(nu=0.1, T=8)`.
import { MurmurError } from '../errors.ts'
import { bucketing } from './bucketing.ts'
import { clip } from './clip.ts'
import { clippedGossip } from './clipped-gossip.ts'
import { geometricMedian } from './geometric-median.ts'
import { mean } from './mean.ts'
import { median } from './median.ts'
import { multiKrum } from './multi-krum.ts'
import { nna } from './nna.ts'
import { nnm } from './nnm.ts'
import { type Given, given, named } from './parameters.ts'
import { type Call, callText, parseCalls } from './parse.ts'
import { arc } from './reference/arc.ts'
import { balance } from './reference/balance.ts'
import { bulyan } from './reference/bulyan.ts'
import { caf } from './reference/caf.ts'
import { centeredClipping } from './reference/centered-clipping.ts'
import { ios } from './reference/ios.ts'
import { mda } from './reference/mda.ts'
import { meamed } from './reference/meamed.ts'
import { ubar } from './reference/ubar.ts'
import { composeRule } from './rule.ts'
import type { PreAggregation, Reducer } from './stages.ts'
import { trimmedMean } from './trimmed-mean.ts'
import type { Rule } from './types.ts'

export type { AggregateInputs, AggregateOptions, AggregateResult, InputAudit, Rule } from './types.ts'

/** A stage as rules may name it; `takes` lists its parameters, first the one that may be given without its name. */
interface Definition<Stage> {
  takes: readonly string[]
  build(given: Given): Stage
}

type Definitions<Stage> = ReadonlyMap<string, Definition<Stage>>

const plain = <Stage>(stage: Stage): Definition<Stage> => ({ takes: [], build: () => stage })

const positive = { above: 0 }
const fromOne = { min: 1, whole: true }
/** Steps of an iteration, each a pass or two over all vectors: far beyond convergence, and a founder cannot ask for more. */
const steps = { min: 1, max: 100, whole: true }
const share = { min: 0, max: 1 }

/** @param m 1 for Krum @param fixed allows a number of neighbours that does not grow with n and f: for the lab, where they are known */
const krum = ({ m, fixed }: { m?: 1; fixed?: true }): Definition<Reducer> => ({
  takes: m === undefined ? ['m', 'neighbours'] : ['neighbours'],
  build: ({ word, numberOr }) =>
    multiKrum({
      m: m ?? numberOr('m', ['n-f', 'n-f-1', 'n-f-2'], 'n-f', fromOne),
      neighbours: fixed ? numberOr('neighbours', NEIGHBOURS, 'n-f-2', fromOne) : word('neighbours', NEIGHBOURS, 'n-f-2'),
    }),
})
const NEIGHBOURS = ['n-f-1', 'n-f-2'] as const

const RULES: Definitions<Reducer> = new Map([
  ['mean', plain(mean)],
  ['trimmed-mean', plain(trimmedMean)],
  ['median', plain(median)],
  [
    'geometric-median',
    { takes: ['nu', 'T'], build: ({ number }: Given) => geometricMedian({ nu: number('nu', 0.1, positive), T: number('T', 8, steps) }) },
  ],
  ['krum', krum({ m: 1 })],
  ['multi-krum', krum({})],
  [
    'clipped-gossip',
    {
      takes: ['tau'],
      build: ({ numberOr }: Given) => clippedGossip(numberOr('tau', ['practical', 'cs+'], 'practical', { min: 0 })),
    },
  ],
  ['cs+', plain(clippedGossip('cs+'))],
  ['nna', plain(nna)],
])

const PRE_AGGREGATIONS: Definitions<PreAggregation> = new Map([
  ['nnm', plain(nnm)],
  ['clip', { takes: ['c'], build: ({ number }: Given) => clip(number('c', undefined, positive)) }],
  ['bucketing', { takes: ['s'], build: ({ number }: Given) => bucketing(number('s', 2, fromOne)) }],
])

/** For comparison in the lab. No task takes them: they have no kernels. */
const REFERENCE_RULES: Definitions<Reducer> = new Map([
  ['bulyan', plain(bulyan)],
  ['meamed', plain(meamed)],
  ['mda', plain(mda)],
  ['caf', { takes: ['power'], build: ({ number }: Given) => caf({ power: number('power', 50, steps) }) }],
  [
    'centered-clipping',
    {
      takes: ['tau', 'L', 'start'],
      build: ({ number, word }: Given) =>
        centeredClipping({ tau: number('tau', 10, { min: 0 }), L: number('L', 1, steps), start: word('start', ['own', 'origin'], 'own') }),
    },
  ],
  ['ios', plain(ios)],
  [
    'balance',
    {
      takes: ['gamma', 'kappa', 'alpha', 'progress', 'otherwise'],
      build: ({ number, word }: Given) =>
        balance({
          gamma: number('gamma', 0.3, positive),
          kappa: number('kappa', 1, { min: 0 }),
          alpha: number('alpha', 0.5, share),
          progress: number('progress', 0, share),
          otherwise: word('otherwise', ['own', 'nearest'], 'own'),
        }),
    },
  ],
  [
    'ubar',
    {
      takes: ['rho', 'alpha'],
      build: ({ number, numberOr }: Given) =>
        ubar({ rho: numberOr('rho', ['n-f'], 'n-f', { above: 0, max: 1 }), alpha: number('alpha', 0.5, share) }),
    },
  ],
])

const LAB_RULES: Definitions<Reducer> = new Map([
  ...RULES,
  ['krum', krum({ m: 1, fixed: true })],
  ['multi-krum', krum({ fixed: true })],
  ...REFERENCE_RULES,
])

const REFERENCE_PRE_AGGREGATIONS: Definitions<PreAggregation> = new Map([['arc', plain(arc)]])
const LAB_PRE_AGGREGATIONS: Definitions<PreAggregation> = new Map([...PRE_AGGREGATIONS, ...REFERENCE_PRE_AGGREGATIONS])

/**
 * Parses a rule that a task may name.
 * @throws MurmurError('task-invalid') with what is known, where the text is malformed or names something unknown
 */
export function parseRule(text: string): Rule {
  const calls = parseCalls(text)
  const lab = calls.find(({ name }) => REFERENCE_RULES.has(name) || REFERENCE_PRE_AGGREGATIONS.has(name))
  if (lab !== undefined) {
    throw new MurmurError('task-invalid', `"${lab.name}" is for comparison in the lab; a task takes: ${names(PRE_AGGREGATIONS, RULES)}.`)
  }
  return compose(calls, RULES, PRE_AGGREGATIONS)
}

/** As `parseRule`, with the reference rules as well. */
export function parseLabRule(text: string): Rule {
  return compose(parseCalls(text), LAB_RULES, LAB_PRE_AGGREGATIONS)
}

function compose(calls: readonly Call[], rules: Definitions<Reducer>, preAggregations: Definitions<PreAggregation>): Rule {
  const pre = calls.slice(0, -1).map((call) => build(call, preAggregations, 'pre-aggregation'))
  const rule = build(calls.at(-1)!, rules, 'aggregation rule')
  const text = [...pre, rule].map(({ call }) => callText(call)).join(' | ')
  return composeRule(
    text,
    pre.map(({ stage }) => stage),
    rule.stage,
  )
}

function build<Stage>(call: Call, known: Definitions<Stage>, kind: string): { call: Call; stage: Stage } {
  const definition = known.get(call.name)
  if (definition === undefined) {
    throw new MurmurError('task-invalid', `"${call.name}" is not a known ${kind}; known are: ${names(known)}.`)
  }
  const own = named(call, definition.takes)
  return { call: own, stage: definition.build(given(own)) }
}

function names(...known: ReadonlyMap<string, unknown>[]): string {
  return known.flatMap((map) => [...map.keys()]).join(', ')
}
