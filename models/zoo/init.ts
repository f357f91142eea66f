// Initial weights, drawn from a seeded generator.
import type { Prng } from '../../protocol/prng.ts'

/** Draws `count` values of a layer with so many inputs and outputs to each of its sums. */
export type Init = (prng: Prng, count: number, fanIn: number, fanOut: number) => Float32Array

export const values = (count: number, value: number): Float32Array => new Float32Array(count).fill(value)

export const uniform =
  (bound: number): Init =>
  (prng, count) =>
    Float32Array.from({ length: count }, () => (2 * prng.next() - 1) * bound)

export const normal =
  (deviation: number): Init =>
  (prng, count) =>
    Float32Array.from({ length: count }, () => deviation * prng.normal())

/** He et al. 2015, uniform: for layers before a rectifier. */
export const he: Init = (prng, count, fanIn, fanOut) => uniform(Math.sqrt(6 / fanIn))(prng, count, fanIn, fanOut)

/** Glorot and Bengio 2010, uniform: for last layers, and before tanh. Scaled from He's once those are rounded, so a seed's bytes stay. */
export const glorot: Init = (prng, count, fanIn, fanOut) => {
  const factor = Math.sqrt(fanIn / (fanIn + fanOut))
  return he(prng, count, fanIn, fanOut).map((weight) => weight * factor)
}
