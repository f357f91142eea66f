// The pass behind coordinate-wise rules: per coordinate the mean of what is left when the lowest and highest values are cut off.
import type { Vector } from './matrix.ts'
import { BLOCK, forEachBlock, type Rows } from './rows.ts'

/** The pass `trimmedMean` of a matrix; 0 < trim < n / 2. */
export function trimmedPass(rows: Rows, trim: number, output: Vector): Float64Array {
  const n = rows.count
  const kept = n - 2 * trim
  const ends = new Float64Array(2 * trim)
  const [means, low, high] = [new Float64Array(BLOCK), new Float64Array(BLOCK), new Float64Array(BLOCK)]
  const survived = new Float64Array(n)
  const inside = new Float64Array(n)
  forEachBlock(rows, rows.length, (block, start, width) => {
    trimBlock(block, n, width, { ends, means, low, high })
    output.set(means.subarray(0, width), start)
    countInside(block, width, low, high, inside)
    const ties = inside.reduce((sum, count) => sum + count, 0) < kept * width
    if (ties) countShared(block, width, trim, low, high, survived)
    else for (let i = 0; i < n; i++) survived[i]! += inside[i]!
  })
  return survived.map((count) => count / (kept * rows.length))
}

/** Scratch of one reduction; `low` and `high` hold, per coordinate, the innermost values cut off at either end. */
interface Scratch {
  ends: Float64Array
  means: Float64Array
  low: Float64Array
  high: Float64Array
}

function trimBlock(block: Float64Array, n: number, width: number, { ends, means, low, high }: Scratch): void {
  const cut = ends.length
  const trim = cut / 2
  for (let c = 0; c < width; c++) {
    // `ends` is sorted: the lowest `trim` values seen, then the highest. What they displace is in the middle for good and enters the
    // sum; an extreme value never does, so that nothing has to be subtracted and no precision is lost to an attacker's 1e15.
    for (let i = 0; i < cut; i++) {
      const x = block[i * BLOCK + c]!
      let k = i
      for (; k > 0 && ends[k - 1]! > x; k--) ends[k] = ends[k - 1]!
      ends[k] = x
    }
    let lowest = ends[trim - 1]!
    let highest = ends[trim]!
    let sum = 0
    for (let i = cut; i < n; i++) {
      const x = block[i * BLOCK + c]!
      if (x < lowest) {
        sum += lowest
        let k = trim - 1
        for (; k > 0 && ends[k - 1]! > x; k--) ends[k] = ends[k - 1]!
        ends[k] = x
        lowest = ends[trim - 1]!
      } else if (x > highest) {
        sum += highest
        let k = trim
        for (; k < cut - 1 && ends[k + 1]! < x; k++) ends[k] = ends[k + 1]!
        ends[k] = x
        highest = ends[trim]!
      } else {
        sum += x
      }
    }
    means[c] = sum / (n - cut)
    low[c] = lowest
    high[c] = highest
  }
}

/** Coordinates in which each row lies strictly between what was cut off. */
function countInside(block: Float64Array, width: number, low: Float64Array, high: Float64Array, inside: Float64Array): void {
  for (let i = 0; i < inside.length; i++) {
    let count = 0
    for (let c = 0; c < width; c++) {
      const x = block[i * BLOCK + c]!
      // Without a branch, which random data would mispredict.
      count += Number(x > low[c]!) & Number(x < high[c]!)
    }
    inside[i] = count
  }
}

/** As `countInside`, where values of the middle equal ones that were cut off: those share the places left. */
function countShared(
  block: Float64Array,
  width: number,
  trim: number,
  low: Float64Array,
  high: Float64Array,
  survived: Float64Array,
): void {
  const n = survived.length
  for (let c = 0; c < width; c++) {
    const [l, h] = [low[c]!, high[c]!]
    let [below, atLow, atHigh, above] = [0, 0, 0, 0]
    for (let i = 0; i < n; i++) {
      const x = block[i * BLOCK + c]!
      if (x < l) below++
      else if (x > h) above++
      else if (x === l) atLow++
      else if (x === h) atHigh++
    }
    const lowShare = l === h ? (n - 2 * trim) / atLow : (below + atLow - trim) / atLow
    const highShare = (above + atHigh - trim) / atHigh
    for (let i = 0; i < n; i++) {
      const x = block[i * BLOCK + c]!
      if (x === l) survived[i]! += lowShare
      else if (x === h) survived[i]! += highShare
      else if (x > l && x < h) survived[i]!++
    }
  }
}
