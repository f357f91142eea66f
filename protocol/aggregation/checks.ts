// What is checked before a rule runs. A rule never sees a vector that is ragged or not finite: one NaN poisons most of them, and Krum selects it.
import { MurmurError } from '../errors.ts'
import type { Matrix, Vector } from './matrix.ts'
import type { AggregateOptions } from './types.ts'

/** Largest absolute value: the square of a difference of two is still a double, whatever the task's own bound. */
const MAX_ABS = 1e150

/** @throws bad-argument, too-few-inputs */
export function checkOptions(
  text: string,
  minInputs: (f: number) => number,
  { count: n, length }: Matrix,
  options: AggregateOptions,
): void {
  const { own, f, shared = length } = options
  if (!Number.isInteger(f) || f < 0) throw new MurmurError('bad-argument', `f is ${f}; it must be a whole number of attackers, 0 or more.`)
  const least = minInputs(f)
  if (n < least) {
    const attackers = f === 1 ? 'attacker' : 'attackers'
    throw new MurmurError(
      'too-few-inputs',
      `The rule "${text}" needs at least ${least} vectors to withstand ${f} ${attackers}, but has ${n}; wait for more peers.`,
    )
  }
  if (!Number.isInteger(own) || own < 0 || own >= n) {
    throw new MurmurError('bad-argument', `There is no own vector at index ${own} of ${n}; give one of 0 to ${n - 1}.`)
  }
  if (!Number.isInteger(shared) || shared < 0 || shared > length) {
    throw new MurmurError('bad-argument', `The shared part is ${shared} coordinates long; it must be between 0 and ${length}.`)
  }
}

/** @throws bad-argument where vectors differ in length or hold what cannot be computed with */
export function checkFinite(vectors: readonly Vector[]): void {
  const length = vectors[0]!.length
  for (const [i, vector] of vectors.entries()) {
    if (vector.length !== length) {
      throw new MurmurError(
        'bad-argument',
        `Vectors of ${length} and of ${vector.length} coordinates cannot be aggregated; decode them for one task.`,
      )
    }
    for (let c = 0; c < length; c++) {
      if (Math.abs(vector[c]!) <= MAX_ABS) continue
      throw new MurmurError(
        'bad-argument',
        `Vector ${i} holds ${vector[c]} at coordinate ${c}; values must be finite and at most ${MAX_ABS} in size.`,
      )
    }
  }
}

/** The weights, scaled to a sum of 1. @throws bad-argument */
export function checkWeights(text: string, weighs: boolean, n: number, weights: ArrayLike<number>): Float64Array {
  if (!weighs)
    throw new MurmurError('bad-argument', `The rule "${text}" does not weigh its inputs; give no weights, or use mean or clipped-gossip.`)
  if (weights.length !== n)
    throw new MurmurError('bad-argument', `There are ${weights.length} weights for ${n} vectors; give one for each.`)
  const given = Float64Array.from(weights)
  const total = given.reduce((sum, weight) => sum + weight, 0)
  const bad = given.findIndex((weight) => !(weight >= 0 && weight < Number.POSITIVE_INFINITY))
  if (bad >= 0) throw new MurmurError('bad-argument', `Weight ${bad} is ${given[bad]}; weights must be finite and 0 or more.`)
  if (!(total > 0 && total < Number.POSITIVE_INFINITY)) {
    throw new MurmurError('bad-argument', `The weights sum to ${total}; at least one must be above 0.`)
  }
  return given.map((weight) => weight / total)
}

/** @throws bad-argument */
export function checkLosses(text: string, n: number, losses: ArrayLike<number> | undefined): void {
  if (losses?.length === n) return
  const what = losses === undefined ? 'are none' : `are ${losses.length} for ${n} vectors`
  throw new MurmurError(
    'bad-argument',
    `The rule "${text}" looks at the loss of each vector on the own data, and there ${what}: give one for each.`,
  )
}
