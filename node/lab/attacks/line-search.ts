// How attacks that are optimal against a rule find their factor: the search of byzfl, and what the receiver makes of a candidate.
import { MurmurError } from '../../../protocol/errors.ts'
import type { Knowledge } from './types.ts'
import { alike, distance, meanOf } from './vectors.ts'

export interface LineSearch {
  /** Times that the function is evaluated. */
  evals: number
  /** The first step, doubled while that helps, and shortened afterwards. */
  delta: number
}

/** By which a step is shortened. */
const CONTRACTION = 0.8

/** The factor from 0 on that was seen to have the greatest value; the smaller one of equals. */
export function lineMaximize(value: (factor: number) => number, { evals, delta }: LineSearch): number {
  let [best, most, step] = [0, value(0), delta]
  let expands = true
  for (let left = evals - 1; left > 0; left--) {
    const reached = value(best + step)
    const isBetter = reached > most
    if (isBetter) [best, most] = [best + step, reached]
    expands &&= isBetter
    step *= expands ? 2 : CONTRACTION
  }
  return best
}

/** The candidate that does most harm to the receiver's result. @throws as `harmTo` */
export function mostHarmful(name: string, known: Knowledge, candidate: (factor: number) => Float64Array, search: LineSearch): Float64Array {
  const harm = harmTo(name, known)
  return candidate(lineMaximize((factor) => harm(alike(known.f, candidate(factor))), search))
}

/**
 * How far forged vectors move the receiver's result from the mean of the honest that it sees.
 * @throws bad-argument where no rule is known; what the rule throws
 */
export function harmTo(name: string, { honest, f, own, weights, rule, seed }: Knowledge): (forged: readonly Float64Array[]) => number {
  if (rule === undefined) throw new MurmurError('bad-argument', `The attack "${name}" works against a rule; name the rule with --rule.`)
  // Who has no weight is not there, and weights that are alike are none: most rules take no others.
  const seen = [...honest.keys()].filter((i) => i === own || weights[i]! > 0)
  const vectors = seen.map((i) => honest[i]!)
  const given = [...seen.map((i) => weights[i]!), ...weights.subarray(honest.length)]
  const options = { own: seen.indexOf(own), f, seed, ...(given.some((weight) => weight !== given[0]) && { weights: given }) }
  const ideal = meanOf(vectors)
  return (forged) => distance(rule.run({ vectors: [...vectors, ...forged], ...options }).output, ideal)
}
