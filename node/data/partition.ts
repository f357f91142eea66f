// Cuts one data set into the private data of several peers: seeded, so that every peer cuts it alike and takes its own part.
import { MurmurError } from '../../protocol/errors.ts'
import { createPrng, type Prng } from '../../protocol/prng.ts'
import { allRows } from './rows.ts'

/** Samples that every part gets, where there are enough for four times as many. */
const MIN_SAMPLES = 100
/** Draws that may miss the minimum before samples are moved instead. */
const MAX_DRAWS = 20
/** Larger alphas give the same parts to within a sample, and their sums might overflow. */
const MAX_ALPHA = 1e12

/**
 * Label skew as in Hsu, Qi and Brown 2019 (arXiv:1909.06335): how each class is spread over the parts is drawn from Dirichlet(alpha).
 * Small alpha: each part sees few classes; large: all parts look alike.
 * @param labels class of each sample
 * @returns for each part its samples in ascending order: disjoint, together all
 * @throws bad-argument, data-invalid where there are fewer samples than parts
 */
export function dirichletPartition(labels: Int32Array, shards: number, alpha: number, seed: number | string): Int32Array[] {
  checkShards(labels.length, shards)
  if (!(alpha > 0 && alpha < Number.POSITIVE_INFINITY)) throw new MurmurError('bad-argument', `alpha is ${alpha}; give a number above 0.`)
  const minimum = Math.max(1, Math.min(MIN_SAMPLES, Math.floor(labels.length / (4 * shards))))
  const classes = byClass(labels)
  let parts: number[][] = []
  for (let attempt = 0; attempt < MAX_DRAWS; attempt++) {
    parts = draw(classes, shards, alpha, createPrng(`${seed} dirichlet ${attempt}`))
    if (parts.every((part) => part.length >= minimum)) return parts.map(ascending)
  }
  levelUp(parts, minimum, createPrng(`${seed} level`))
  return parts.map(ascending)
}

/** Equal parts (sizes differ by at most one) drawn at random. @throws bad-argument, data-invalid */
export function iidPartition(samples: number, shards: number, seed: number | string): Int32Array[] {
  checkShards(samples, shards)
  const order = createPrng(`${seed} iid`).shuffle(allRows(samples))
  const cut = (shard: number) => Math.floor((samples * shard) / shards)
  return Array.from({ length: shards }, (_, shard) => order.slice(cut(shard), cut(shard + 1)).sort())
}

function checkShards(samples: number, shards: number): void {
  if (!Number.isInteger(shards) || shards < 1)
    throw new MurmurError('bad-argument', `Data cannot be cut into ${shards} parts; give 1 or more.`)
  if (shards > samples)
    throw new MurmurError('data-invalid', `The data has ${samples} samples, too few for ${shards} parts; use fewer parts.`)
}

/** Samples of each class, classes in ascending order. */
function byClass(labels: Int32Array): number[][] {
  const samples = new Map<number, number[]>()
  labels.forEach((label, i) => {
    const known = samples.get(label)
    if (known === undefined) samples.set(label, [i])
    else known.push(i)
  })
  return [...samples].sort(([x], [y]) => x - y).map(([, indices]) => indices)
}

function draw(classes: readonly number[][], shards: number, alpha: number, prng: Prng): number[][] {
  const parts = Array.from({ length: shards }, (): number[] => [])
  for (const indices of classes) {
    const shuffled = prng.shuffle([...indices])
    const gammas = Array.from({ length: shards }, () => prng.gamma(Math.min(alpha, MAX_ALPHA)))
    // Tiny alphas can underflow to zero in every part: then, as in the limit, one part takes the whole class.
    if (!gammas.some((gamma) => gamma > 0)) gammas[prng.int(shards)] = 1
    const total = gammas.reduce((sum, gamma) => sum + gamma, 0)
    let share = 0
    let begin = 0
    gammas.forEach((gamma, shard) => {
      share += gamma / total
      const end = shard === shards - 1 ? shuffled.length : Math.min(shuffled.length, Math.round(share * shuffled.length))
      for (const index of shuffled.slice(begin, end)) parts[shard]!.push(index)
      begin = end
    })
  }
  return parts
}

/** Moves random samples from the largest part to those below the minimum. */
function levelUp(parts: readonly number[][], minimum: number, prng: Prng): void {
  for (const part of parts) {
    while (part.length < minimum) {
      const largest = parts.reduce((x, y) => (y.length > x.length ? y : x))
      part.push(...largest.splice(prng.int(largest.length), 1))
    }
  }
}

const ascending = (indices: readonly number[]): Int32Array => Int32Array.from(indices).sort()
