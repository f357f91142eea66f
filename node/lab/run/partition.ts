// How a data set is dealt to virtual peers: what the product cuts, and the other cuts that papers compare.
import { MurmurError } from '../../../protocol/errors.ts'
import { createPrng, type Prng } from '../../../protocol/prng.ts'
import { dirichletPartition, iidPartition } from '../../data/partition.ts'
import { allRows } from '../../data/rows.ts'

export type Partition =
  | { kind: 'iid' }
  | { kind: 'dirichlet' | 'quantity'; alpha: number }
  | { kind: 'shards'; each: number }
  | { kind: 'similarity'; share: number }
  | { kind: 'natural'; column: string }

export interface Cuttable {
  samples: number
  /** The class of each sample, where it has one. */
  labels: Int32Array | undefined
  /** What a natural cut goes by: a value of each sample. */
  groups: readonly string[] | undefined
}

const bad = (message: string) => new MurmurError('bad-argument', message)

/** @throws bad-argument */
export function parsePartition(text: string): Partition {
  const [, kind, given = ''] = /^([a-z]+)(?::(.+))?$/.exec(text) ?? []
  const number = Number(given)
  const wants = (what: string) => bad(`--partition cannot be "${text}": give ${what}.`)
  switch (given === '' && kind !== 'iid' ? undefined : kind) {
    case 'iid':
      if (given === '') return { kind: 'iid' }
      throw wants('iid without a number')
    case 'dirichlet':
    case 'quantity':
      if (number > 0 && Number.isFinite(number)) return { kind: kind as 'dirichlet' | 'quantity', alpha: number }
      throw wants(`an alpha above 0, such as ${kind}:0.5`)
    case 'shards':
      if (Number.isInteger(number) && number > 0) return { kind: 'shards', each: number }
      throw wants('a whole number of pieces, such as shards:2')
    case 'similarity':
      if (number >= 0 && number <= 1) return { kind: 'similarity', share: number }
      throw wants('a share from 0 to 1, such as similarity:0.33')
    case 'natural':
      return { kind: 'natural', column: given }
    default:
      throw wants('iid, dirichlet:ALPHA, shards:K, quantity:ALPHA, similarity:SHARE or natural:COLUMN')
  }
}

/** @returns of each part its samples, ascending: disjoint, together all. @throws bad-argument, data-invalid */
export function cutData({ samples, labels, groups }: Cuttable, partition: Partition, parts: number, seed: number | string): Int32Array[] {
  const { kind } = partition
  if (parts > samples)
    throw new MurmurError('data-invalid', `The data has ${samples} samples, too few for ${parts} peers; use fewer peers.`)
  const needed = (): Int32Array => {
    if (labels !== undefined) return labels
    throw bad(`--partition cannot be ${kind}: the data has no single class a sample; give iid, quantity:ALPHA or natural:COLUMN.`)
  }
  const prng = createPrng(`${seed} ${kind}`)
  switch (kind) {
    case 'iid':
      return iidPartition(samples, parts, seed)
    case 'dirichlet':
      return dirichletPartition(needed(), parts, partition.alpha, seed)
    case 'shards':
      return shards(byLabel(needed(), prng), parts, partition.each, prng)
    case 'quantity':
      return quantity(samples, parts, partition.alpha, prng)
    case 'similarity':
      return similarity(needed(), parts, partition.share, prng)
    case 'natural':
      return natural(groups ?? [], partition.column, parts)
  }
}

/** Samples in the order of their classes; within a class in a random one. */
function byLabel(labels: Int32Array, prng: Prng, samples = allRows(labels.length)): Int32Array {
  return prng.shuffle(samples).sort((a, b) => labels[a]! - labels[b]!)
}

/** Pieces of equal size, to within one sample. */
const pieces = (order: Int32Array, count: number): Int32Array[] => {
  const at = (piece: number) => Math.floor((order.length * piece) / count)
  return Array.from({ length: count }, (_, piece) => order.subarray(at(piece), at(piece + 1)))
}

const joined = (chunks: readonly Int32Array[]): Int32Array => Int32Array.from(chunks.flatMap((chunk) => [...chunk])).sort()

/** Sorted by label and cut into pieces, of which each gets so many (McMahan et al. 2017, arXiv:1602.05629). */
function shards(sorted: Int32Array, parts: number, each: number, prng: Prng): Int32Array[] {
  if (parts * each > sorted.length)
    throw bad(`--partition cannot be shards:${each}: ${sorted.length} samples make no ${parts * each} pieces.`)
  const order = prng.shuffle(pieces(sorted, parts * each))
  return Array.from({ length: parts }, (_, part) => joined(order.slice(part * each, (part + 1) * each)))
}

/** Sizes from Dirichlet(alpha), at least one sample each; labels alike (Li et al. 2022, arXiv:2102.02079). */
function quantity(samples: number, parts: number, alpha: number, prng: Prng): Int32Array[] {
  const order = prng.shuffle(allRows(samples))
  const gammas = Array.from({ length: parts }, () => prng.gamma(alpha))
  const total = gammas.reduce((sum, gamma) => sum + gamma, 0)
  const spare = samples - parts
  let [share, begin] = [0, 0]
  return gammas.map((gamma, part) => {
    share += total > 0 ? gamma / total : 1 / parts
    const end = part === parts - 1 ? samples : Math.min(samples, part + 1 + Math.round(share * spare))
    const cut = order.slice(begin, end).sort()
    begin = end
    return cut
  })
}

/** A share of the samples dealt evenly, the rest in the order of labels (Karimireddy et al. 2020; byzfl's "gamma similarity"). */
function similarity(labels: Int32Array, parts: number, share: number, prng: Prng): Int32Array[] {
  const order = prng.shuffle(allRows(labels.length))
  const even = Math.round(share * order.length)
  const rest = pieces(byLabel(labels, prng, order.slice(even)), parts)
  return pieces(order.slice(0, even), parts).map((piece, part) => joined([piece, rest[part]!]))
}

/** All of one value stay together: the largest first, each to the peer that has least so far. */
function natural(groups: readonly string[], column: string, parts: number): Int32Array[] {
  const byValue = new Map<string, number[]>()
  groups.forEach((value, i) => {
    const known = byValue.get(value)
    if (known === undefined) byValue.set(value, [i])
    else known.push(i)
  })
  if (byValue.size < parts) {
    throw bad(`--partition natural:${column} has ${byValue.size} different values for ${parts} honest peers; give fewer peers.`)
  }
  const dealt = Array.from({ length: parts }, (): number[] => [])
  for (const [, samples] of [...byValue].sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1))) {
    const least = dealt.reduce((x, y) => (y.length < x.length ? y : x))
    for (const sample of samples) least.push(sample)
  }
  return dealt.map((samples) => Int32Array.from(samples).sort())
}
