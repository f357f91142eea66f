// Aggregation rules: how one round's models become the next one without a malicious minority steering it.
// A rule is written `pre-aggregation | rule`, e.g. `nnm | trimmed-mean`.
import { MurmurError } from '../errors.ts'
import { mean } from './mean.ts'
import { median } from './median.ts'
import { nnm } from './nnm.ts'
import { type Call, callText, parseCalls } from './parse.ts'
import { composeRule } from './rule.ts'
import type { PreAggregation, Reducer } from './stages.ts'
import { trimmedMean } from './trimmed-mean.ts'
import type { Rule } from './types.ts'

export type { AggregateInputs, AggregateResult, InputAudit, Rule } from './types.ts'

/** A stage as rules may name it; `build` gets only parameters that it lists. */
interface Definition<Stage> {
  parameters: readonly string[]
  build(parameters: ReadonlyMap<string, number>): Stage
}

const plain = <Stage>(stage: Stage): Definition<Stage> => ({ parameters: [], build: () => stage })

const RULES: ReadonlyMap<string, Definition<Reducer>> = new Map([
  ['mean', plain(mean)],
  ['trimmed-mean', plain(trimmedMean)],
  ['median', plain(median)],
])

const PRE_AGGREGATIONS: ReadonlyMap<string, Definition<PreAggregation>> = new Map([['nnm', plain(nnm)]])

/**
 * Parses a rule such as `median`, `nnm | trimmed-mean` or, once rules take parameters, `name(a=1, b=2)`.
 * @throws MurmurError('task-invalid') with what is known, where the text is malformed or names something unknown
 */
export function parseRule(text: string): Rule {
  const calls = parseCalls(text)
  const pre = calls.slice(0, -1).map((call) => build(call, PRE_AGGREGATIONS, 'pre-aggregation'))
  const reducer = build(calls.at(-1)!, RULES, 'aggregation rule')
  return composeRule(calls.map(callText).join(' | '), pre, reducer)
}

function build<Stage>(call: Call, known: ReadonlyMap<string, Definition<Stage>>, kind: string): Stage {
  const definition = known.get(call.name)
  if (definition === undefined) {
    throw new MurmurError('task-invalid', `"${call.name}" is not a known ${kind}; known are: ${[...known.keys()].join(', ')}.`)
  }
  const takes = definition.parameters
  const unknown = [...call.parameters.keys()].find((key) => !takes.includes(key))
  if (unknown !== undefined) {
    throw new MurmurError('task-invalid', `"${call.name}" has no parameter "${unknown}"; it takes ${takes.join(', ') || 'none'}.`)
  }
  return definition.build(call.parameters)
}
