// Vectors as rows that are read block by block, widened to float64. A block of every row fits in a core's cache, so that
// a rule that looks across rows, or mixes them first, touches memory once and never holds a second copy of the vectors.
import type { Vector } from './matrix.ts'

/** Coordinates read at a time; 31 rows of them are 124 KiB. */
export const BLOCK = 512

export interface Rows {
  /** Rows (n) and coordinates of each (d). */
  readonly count: number
  readonly length: number
  /** Copies coordinates [start, start + width), width <= BLOCK, of all rows into `block`: row i begins at i * BLOCK. */
  read(start: number, width: number, block: Float64Array): void
}

export const newBlock = (rows: Rows): Float64Array => new Float64Array(rows.count * BLOCK)

/** Calls `use` with each block in turn; the block is overwritten by the next. `length`: leading coordinates to visit. */
export function forEachBlock(rows: Rows, length: number, use: (block: Float64Array, start: number, width: number) => void): void {
  const block = newBlock(rows)
  for (let start = 0; start < length; start += BLOCK) {
    const width = Math.min(BLOCK, length - start)
    rows.read(start, width, block)
    use(block, start, width)
  }
}

export function rowsOf(vectors: readonly Vector[]): Rows {
  return {
    count: vectors.length,
    length: vectors[0]?.length ?? 0,
    read(start, width, block) {
      for (const [i, vector] of vectors.entries()) block.set(vector.subarray(start, start + width), i * BLOCK)
    },
  }
}

/** Rows that are each a weighted sum of rows of `source`: row i that of weights[i * n + j] x row j. */
export function mixedRows(source: Rows, weights: Float64Array): Rows {
  const n = source.count
  const count = weights.length / n
  const raw = newBlock(source)
  // Neighbourhoods often coincide; each distinct one is added up once.
  const first = new Map<string, number>()
  const original: number[] = []
  for (let i = 0; i < count; i++) {
    const key = weights.subarray(i * n, (i + 1) * n).join()
    if (!first.has(key)) first.set(key, i)
    original.push(first.get(key)!)
  }
  const sums = Array.from({ length: count }, (_, i) => terms(weights.subarray(i * n, (i + 1) * n)))
  return {
    count,
    length: source.length,
    read(start, width, block) {
      source.read(start, width, raw)
      for (let i = 0; i < count; i++) {
        const from = original[i]! * BLOCK
        if (original[i] === i) sumInto(block, i * BLOCK, raw, sums[i]!, width)
        else block.copyWithin(i * BLOCK, from, from + width)
      }
    },
  }
}

/** Where in a block the rows of a weighted sum begin, and their weights; rows of weight 0 are left out. */
export interface Terms {
  at: number[]
  weights: number[]
}

export function terms(weights: ArrayLike<number>): Terms {
  const rows = Array.from(weights, (_, i) => i).filter((i) => weights[i] !== 0)
  return { at: rows.map((i) => i * BLOCK), weights: rows.map((i) => weights[i]!) }
}

/** Weighted sum of rows of `raw`; four at a time, since the sum's own load and store cost as much as an addition. */
export function sumInto(block: Float64Array, to: number, raw: Float64Array, { at, weights }: Terms, width: number): void {
  block.fill(0, to, to + width)
  let k = 0
  for (; k + 4 <= at.length; k += 4) {
    const [p, q, r, s] = [at[k]!, at[k + 1]!, at[k + 2]!, at[k + 3]!]
    const [a, b, d, e] = [weights[k]!, weights[k + 1]!, weights[k + 2]!, weights[k + 3]!]
    for (let c = 0; c < width; c++) block[to + c]! += a * raw[p + c]! + b * raw[q + c]! + (d * raw[r + c]! + e * raw[s + c]!)
  }
  for (; k < at.length; k++) {
    const [p, a] = [at[k]!, weights[k]!]
    for (let c = 0; c < width; c++) block[to + c]! += a * raw[p + c]!
  }
}
