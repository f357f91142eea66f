// Composes stages into a rule: checks the inputs, runs pre-aggregations and the reducer, and writes the audit of the original inputs.
import { MurmurError } from '../errors.ts'
import { checkFinite, checkLosses, checkOptions, checkWeights } from './checks.ts'
import type { Matrix, Vector } from './matrix.ts'
import { alike } from './order.ts'
import { plainMatrix } from './plain.ts'
import { product } from './product.ts'
import { remembered } from './remembered.ts'
import type { Mix, PreAggregation, Reduced, Reducer, Round } from './stages.ts'
import type { AggregateInputs, AggregateOptions, AggregateResult, InputAudit, Rule } from './types.ts'

/** @throws task-invalid */
export function composeRule(text: string, pre: readonly PreAggregation[], reducer: Reducer): Rule {
  const asksLosses = reducer.asksLosses === true
  if (asksLosses && pre.length > 0) {
    throw new MurmurError('task-invalid', `The rule of "${text}" judges vectors as they came; write no stage before it.`)
  }
  const minInputs = (f: number) => pre.reduceRight((after, stage) => stage.minInputs(f, after), reducer.minInputs(f))
  const weighs = [...pre, reducer].every((stage) => stage.weighs)

  function run({ vectors, ...options }: AggregateInputs): AggregateResult {
    const matrix = plainMatrix(vectors)
    checkOptions(text, minInputs, matrix, options)
    checkFinite(vectors)
    const output = vectors[options.own] instanceof Float64Array ? new Float64Array(matrix.length) : new Float32Array(matrix.length)
    return { output, inputs: apply(matrix, options, output) }
  }

  function apply(matrix: Matrix, options: AggregateOptions, output: Vector): InputAudit[] {
    checkOptions(text, minInputs, matrix, options)
    const original = remembered(matrix)
    const n = matrix.count
    const { own, f, shared = matrix.length, seed = 0, losses } = options
    if (asksLosses) checkLosses(text, n, losses)
    const weights = options.weights === undefined ? alike(n) : checkWeights(text, weighs, n, options.weights)
    let rows = original
    let round: Round = { f, own, shared, weights, seed, ...(losses && { losses }) }
    const mixes: Mix[] = []
    for (const stage of pre) {
      const mix = stage.mix(rows, round)
      mixes.push(mix)
      rows = rows.mixed(mix.weights)
      // A stage that weighs leaves each row its weight; after any other all count alike.
      round = { ...round, own: mix.place[round.own]!, weights: stage.weighs ? round.weights : alike(rows.count) }
    }
    const reduced = reducer.reduce(rows, round, output)
    return audit(pre, mixes, reducer, reduced, original.distancesFrom(own, shared))
  }

  return { text, minInputs, asksLosses, run, apply }
}

function audit(
  pre: readonly PreAggregation[],
  mixes: readonly Mix[],
  reducer: Reducer,
  reduced: Reduced,
  fromOwn: Float64Array,
): InputAudit[] {
  // The last mix is undone first: the factor of a mixed row is shared by the rows it was made of.
  const weights = mixes.reduceRight((factors, mix) => product(factors, mix.weights, mix.place.length), reduced.weights)
  const clips = reduced.clip !== undefined || mixes.some((mix) => mix.clip !== undefined)
  return Array.from(weights, (weight, i) => {
    let [row, clip, lonely] = [i, 1, undefined as string | undefined]
    for (const [stage, mix] of mixes.entries()) {
      const inPlace = mix.place[row]!
      if (mix.place.length > 1 && !usedElsewhere(mix, row, inPlace)) lonely ??= pre[stage]!.alone
      clip *= mix.clip?.[row] ?? 1
      row = inPlace
    }
    clip *= reduced.clip?.[row] ?? 1
    const kept = weight > 0
    // What was lost to clipping is told apart from what the rule left out.
    const why = lonely ?? reducer.why(kept ? (weight * weights.length) / clip : 0)
    return {
      weight,
      distance: Math.sqrt(fromOwn[i]!),
      kept,
      why: kept && clip < 1 ? `${why}, clipped` : why,
      ...(clips && { clip }),
      ...(reduced.trimmed && { trimmed: reduced.trimmed[row]! }),
    }
  })
}

function usedElsewhere({ weights, place }: Mix, row: number, inPlace: number): boolean {
  const n = place.length
  for (let i = 0; i < weights.length / n; i++) if (i !== inPlace && weights[i * n + row] !== 0) return true
  return false
}
