// Composes stages into a rule: checks the inputs, runs pre-aggregations and the reducer, and writes the audit of the original inputs.
import { MurmurError } from '../errors.ts'
import { distancesFrom, pairwiseDistances } from './distances.ts'
import { mixedRows, rowsOf, type Vector } from './rows.ts'
import type { PreAggregation, Reducer } from './stages.ts'
import type { AggregateInputs, AggregateResult, Rule } from './types.ts'

export function composeRule(text: string, pre: readonly PreAggregation[], reducer: Reducer): Rule {
  const minInputs = (f: number) => Math.max(reducer.minInputs(f), ...pre.map((stage) => stage.minInputs(f)))

  function run({ vectors, own, f, shared = vectors[0]?.length ?? 0 }: AggregateInputs): AggregateResult {
    checkInputs(text, vectors, own, f, shared, minInputs)
    const n = vectors.length
    const original = rowsOf(vectors)
    let rows = original
    let fromOwn: Float64Array | undefined
    const mixes: number[][][] = []
    for (const stage of pre) {
      const squared = pairwiseDistances(rows, shared)
      fromOwn ??= squared.subarray(own * n, (own + 1) * n)
      const lists = stage.lists(squared, n, f)
      mixes.push(lists)
      rows = mixedRows(rows, lists)
    }
    fromOwn ??= distancesFrom(original, own, shared)
    const output = vectors[own] instanceof Float64Array ? new Float64Array(original.length) : new Float32Array(original.length)
    // The last mix is undone first: what a mixed row weighs is shared by the rows it was made of.
    const weights = mixes.reduceRight(spread, reducer.reduce(rows, f, output))
    const inputs = Array.from(weights, (weight, i) => {
      const lonely = pre.findIndex((_, stage) => mixes[stage]!.every((list, row) => row === i || !list.includes(i)))
      const why = n > 1 && lonely >= 0 ? pre[lonely]!.alone : reducer.why(weight * n)
      return { weight, distance: Math.sqrt(fromOwn[i]!), kept: weight > 0, why }
    })
    return { output, inputs }
  }
  return { text, minInputs, run }
}

function spread(weights: Float64Array, lists: readonly (readonly number[])[]): Float64Array {
  const spreadOut = new Float64Array(weights.length)
  for (const [row, list] of lists.entries()) for (const i of list) spreadOut[i]! += weights[row]! / list.length
  return spreadOut
}

function checkInputs(text: string, vectors: readonly Vector[], own: number, f: number, shared: number, minInputs: (f: number) => number) {
  if (!Number.isInteger(f) || f < 0) throw new MurmurError('bad-argument', `f is ${f}; it must be a whole number of attackers, 0 or more.`)
  const n = vectors.length
  if (n < minInputs(f)) {
    throw new MurmurError(
      'too-few-inputs',
      `The rule "${text}" needs at least ${minInputs(f)} vectors to withstand ${f} ${f === 1 ? 'attacker' : 'attackers'}, but has ${n}; wait for more peers.`,
    )
  }
  if (vectors[own] === undefined) throw new MurmurError('bad-argument', `There is no own vector at index ${own} of ${n}.`)
  const length = vectors[own].length
  const other = vectors.find((vector) => vector.length !== length)
  if (other !== undefined) {
    throw new MurmurError(
      'bad-argument',
      `Vectors of ${length} and of ${other.length} coordinates cannot be aggregated; decode them for one task.`,
    )
  }
  if (!Number.isInteger(shared) || shared < 0 || shared > length) {
    throw new MurmurError('bad-argument', `The shared part is ${shared} coordinates long; it must be between 0 and ${length}.`)
  }
}
