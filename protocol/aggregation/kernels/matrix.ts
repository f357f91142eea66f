// The passes of a matrix as jobs, stripe by stripe, and what becomes of the parts' results.
import { scaled } from '../clip.ts'
import type { Matrix, Vector } from '../matrix.ts'
import { alike } from '../order.ts'
import { product } from '../product.ts'
import { type Job, type Pass, partsOf } from './job.ts'
import { type Layout, MOST_ROWS, rowAt, SLOT_BYTES, slotColumns, slotsAt, WEIGHTS_AT, WILD_AT } from './layout.ts'
import type { SharedMemory } from './webassembly.ts'

/** Coordinates up to which the shares of trimmed rows are counted over all, and over how many of more: the standard error is below 0.6 %. */
export const AUDITED = 65_536
const SAMPLE = 8192
/** Of how many blocks a pass says how many it samples. */
const ALL = 65_536

export interface Stripes {
  layout: Layout
  run(pass: Pass, mixed: number, start: number, width: number): Job
  forEachStripe(limit: number, use: (memory: SharedMemory, start: number, width: number) => void): void
}

/** @param mix of the rows, `count` x n, or undefined for the rows themselves */
export function matrixOf(stripes: Stripes, mix: Float64Array | undefined, count: number): Matrix {
  const { layout, run, forEachStripe } = stripes
  const n = layout.rows
  const mixed = mix === undefined ? 0 : count

  /** Weights of a pass over mixed rows, and a row of zeros more, for they are taken in twos. */
  function setWeights(memory: SharedMemory, weights: ArrayLike<number> | undefined): void {
    if (weights === undefined) return
    const floats = new Float32Array(memory.buffer, WEIGHTS_AT, weights.length + n)
    floats.set(weights)
    floats.fill(0, weights.length)
  }

  /** Sums of squares, an entry for each slot; in float64 throughout where float32 overflows. */
  function squares(pass: (wide: boolean) => Pass, shared: number, entries: [number, number][], point?: Vector): Float64Array {
    const attempt = (wide: boolean): Float64Array => {
      const totals = new Float64Array(entries.length)
      forEachStripe(shared, (memory, start, width) => {
        setWeights(memory, mix)
        if (point) new Float32Array(memory.buffer, rowAt(layout, n), width).set(point.subarray(start, start + width))
        const job = run(pass(wide), mixed, start, width)
        const doubles = new Float64Array(memory.buffer)
        for (let part = 0; part < partsOf(job); part++) {
          for (const [k, [row, column]] of entries.entries()) {
            const slot = (slotsAt(part) + SLOT_BYTES * (row * slotColumns(count) + column)) / 8
            totals[k]! += doubles[slot]! + doubles[slot + 1]!
          }
        }
      })
      return totals
    }
    const totals = attempt(false)
    return totals.every(Number.isFinite) ? totals : attempt(true)
  }

  const inOneRow = Array.from({ length: count }, (_, i): [number, number] => [0, i])
  const distancesFrom = (center: number | 'zero' | 'point', shared: number, point?: Vector) =>
    squares((wide) => ({ kind: 'from', center, wide }), shared, inOneRow, point)

  function combine(weights: ArrayLike<number>, output: Vector): void {
    // A sum of mixes is a sum of the rows.
    const ofRows = mix === undefined ? weights : product(weights, mix, n)
    forEachStripe(layout.length, (memory, start, width) => {
      setWeights(memory, ofRows)
      run({ kind: 'combine' }, 0, start, width)
      output.set(new Float32Array(memory.buffer, rowAt(layout, n), width), start)
    })
  }

  return {
    count,
    length: layout.length,
    combine,
    distances(shared) {
      const below = Array.from({ length: count }, (_, i) => Array.from({ length: i }, (_, j): [number, number] => [i, j])).flat()
      const squared = squares((wide) => ({ kind: 'pairs', wide }), shared, below)
      const all = new Float64Array(count * count)
      for (const [k, [i, j]] of below.entries()) {
        all[i * count + j] = squared[k]!
        all[j * count + i] = squared[k]!
      }
      return all
    },
    distancesFrom: (center, shared) =>
      typeof center === 'number' ? distancesFrom(center, shared) : distancesFrom('point', shared, center),
    norms: (shared) => distancesFrom('zero', shared),
    trimmedMean(trim, output) {
      if (trim === 0 || layout.length === 0) {
        const weights = alike(count)
        combine(weights, output)
        return weights
      }
      const shares = new Float64Array(count)
      let wild = false
      const sampled = layout.length <= AUDITED ? ALL : Math.ceil((ALL * SAMPLE) / layout.length)
      forEachStripe(layout.length, (memory, start, width) => {
        setWeights(memory, mix)
        const parts = partsOf(run({ kind: 'trim', trim, sampled }, mixed, start, width))
        for (let part = 0; part < parts; part++) {
          const own = new Float64Array(memory.buffer, slotsAt(part), count)
          for (let i = 0; i < count; i++) shares[i]! += own[i]!
          wild ||= new Uint8Array(memory.buffer)[WILD_AT + part] !== 0
        }
        output.set(new Float32Array(memory.buffer, rowAt(layout, n), width), start)
      })
      // The values kept are in range, their sum was not.
      if (wild) trimScaled(trim, output)
      const places = shares.reduce((sum, share) => sum + share, 0)
      return shares.map((share) => share / places)
    },
    mixed(weights) {
      return matrixOf(stripes, mix === undefined ? weights : product(weights, mix, n), weights.length / count)
    },
  }

  /** The trimmed mean of the rows made so small that no sum of them overflows, made as large again. */
  function trimScaled(trim: number, output: Vector): void {
    const scale = 1 / (2 * MOST_ROWS)
    const { weights: small } = scaled(new Float64Array(count).fill(scale))
    matrixOf(stripes, mix === undefined ? small : product(small, mix, n), count).trimmedMean(trim, output)
    for (let i = 0; i < output.length; i++) output[i]! /= scale
  }
}
