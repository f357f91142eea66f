// Vectors as rows that are read block by block, widened to float64. A block of every row fits in a core's cache, so that
// a rule that looks across rows, or mixes them first, touches memory once and never holds a second copy of the vectors.

export type Vector = Float32Array | Float64Array

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

/** Rows that are each the mean of some rows of `source`: row i that of the rows in `lists[i]`, in the order listed. */
export function mixedRows(source: Rows, lists: readonly (readonly number[])[]): Rows {
  const raw = newBlock(source)
  // Neighbourhoods often coincide; each distinct one is averaged once.
  const first = new Map<string, number>()
  const original = lists.map((list, i) => {
    const key = list.join()
    if (!first.has(key)) first.set(key, i)
    return first.get(key)!
  })
  return {
    count: lists.length,
    length: source.length,
    read(start, width, block) {
      source.read(start, width, raw)
      for (let i = 0; i < lists.length; i++) {
        const from = original[i]! * BLOCK
        if (original[i] === i) meanInto(block, i * BLOCK, raw, lists[i]!, width)
        else block.copyWithin(i * BLOCK, from, from + width)
      }
    },
  }
}

/** Mean of the listed rows of `raw`; four at a time, since the sum's own load and store cost as much as an addition. */
export function meanInto(block: Float64Array, at: number, raw: Float64Array, list: readonly number[], width: number): void {
  block.fill(0, at, at + width)
  let k = 0
  for (; k + 4 <= list.length; k += 4) {
    const [p, q, r, s] = [list[k]! * BLOCK, list[k + 1]! * BLOCK, list[k + 2]! * BLOCK, list[k + 3]! * BLOCK]
    for (let c = 0; c < width; c++) block[at + c]! += raw[p + c]! + raw[q + c]! + (raw[r + c]! + raw[s + c]!)
  }
  for (; k < list.length; k++) {
    const p = list[k]! * BLOCK
    for (let c = 0; c < width; c++) block[at + c]! += raw[p + c]!
  }
  for (let c = 0; c < width; c++) block[at + c]! /= list.length
}
