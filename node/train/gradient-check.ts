// Compares a gradient with finite differences of the loss, tensor by tensor, in the float32 that training itself uses.
import { type Layout, sizeOf } from '../../protocol/layout.ts'
import { createPrng } from '../../protocol/prng.ts'
import { median } from '../../protocol/statistics.ts'

export interface TensorCheck {
  name: string
  /** Length of the gradient. */
  norm: number
  /**
   * |slope by differences - slope by gradient| / the larger of both and of what is usual in such a direction: along the gradient, or the
   * median along random directions where that is larger.
   */
  error: number
}

/** Error above which a gradient is taken to be wrong; differences in float32 agree to about a fifth of that. */
export const TOLERANCE = 0.05

/** Around what is checked: fresh weights of exactly zero hide gradients, and equal ones tie maxima. As a share of a tensor's usual value. */
const SCATTER = 0.1

/** Parameters close to `params` but with nothing special about them: others for each `attempt`. */
export function scattered(layout: Layout, params: Float32Array, attempt: number): Float32Array {
  const prng = createPrng(`scatter ${attempt}`)
  const result = params.slice()
  for (const { shape, offset, segment } of layout) {
    if (segment === 'stats') continue
    const part = result.subarray(offset, offset + sizeOf(shape))
    const scale = SCATTER * Math.max(norm2(part) / Math.sqrt(part.length), SCATTER)
    part.forEach((value, i) => {
      part[i] = value + scale * prng.normal()
    })
  }
  return result
}

/**
 * Lengths of the step to both sides, as shares of the tensor's own length (or of 1): too short drowns in rounding, too long in curvature.
 * The first suits most tensors. Where its slope drowns, longer ones are tried; where it disagrees, all.
 */
const STEPS = [1e-2, 3e-2, 1e-1, 3e-3, 1e-3, 3e-4, 1e-4] as const
const LONGEST = Math.max(...STEPS)
/** Their median counts: kinks of rectifiers and maxima fall on some, a wrong gradient on all but those it happens to suit. */
const RANDOM_DIRECTIONS = 4
/** As many settle it. */
const MAJORITY = 3
/** Errors below this need no second look with another step. */
const AGREES = 0.01

/** Rounding of a float32 loss, as a share of it, and how far a slope must stand out from it to be compared. */
const ROUNDING = 3e-7
const CLEAR = 20

/**
 * Along the gradient itself, where the slope is largest, and along random directions, which a gradient that lacks a part does not
 * escape. Of the steps whose slope stands out from rounding the one that agrees best counts; where none does, the longest.
 * @param layout of `params`, or the tensors of it that are to be checked
 * @param gradient dL/d params
 */
export async function compareGradients(
  layout: Layout,
  params: Float32Array,
  gradient: Float64Array,
  lossAt: (params: Float32Array) => Promise<number>,
): Promise<TensorCheck[]> {
  const prng = createPrng('gradient check')
  const checks: TensorCheck[] = []
  const base = await lossAt(params)
  const clearAt = (step: number) => (CLEAR * ROUNDING * Math.max(1, Math.abs(base))) / step
  for (const { name, shape, offset, segment } of layout) {
    if (segment === 'stats') continue
    const size = sizeOf(shape)
    const own = gradient.subarray(offset, offset + size)
    const norm = norm2(own)
    const length = Math.max(1e-3, norm2(params.subarray(offset, offset + size)))

    /** Loss at both sides of the parameters, `step` away along a direction of length 1. */
    async function slopeAlong(direction: Float64Array, step: number): Promise<number> {
      const at = (sign: number) => {
        const moved = params.slice()
        for (let i = 0; i < size; i++) moved[offset + i]! += sign * step * direction[i]!
        return lossAt(moved)
      }
      return ((await at(1)) - (await at(-1))) / (2 * step)
    }

    async function errorAlong(direction: Float64Array): Promise<number> {
      const expected = own.reduce((sum, value, i) => sum + value * direction[i]!, 0)
      // A random direction meets the gradient's by chance only, and a slope near zero has nothing to compare.
      const usual = norm / Math.sqrt(size)
      let best = Number.POSITIVE_INFINITY
      let drowned = 0
      for (const share of STEPS) {
        // With a shorter step, more so.
        if (share < drowned) continue
        const step = share * length
        const slope = await slopeAlong(direction, step)
        const clear = clearAt(step)
        const slopes = Math.max(Math.abs(slope), Math.abs(expected), usual)
        if (slopes < clear) drowned = Math.max(drowned, share)
        if (slopes < clear && share !== LONGEST) continue
        // The longest shows kinks and curvature: a slope that drowns in shorter ones is not held to all its digits.
        const error = Math.abs(slope - expected) / Math.max(slopes, share === LONGEST ? clearAt(STEPS[0] * length) : 0)
        // Not a number where the loss is none, which is no agreement.
        if (error < best) best = error
        if (best < AGREES) break
      }
      return best
    }

    const errors: number[] = []
    while (errors.length < RANDOM_DIRECTIONS && errors.filter((error) => error < AGREES).length < MAJORITY) {
      errors.push(await errorAlong(unit(Float64Array.from({ length: size }, () => prng.normal()))))
    }
    const ownError = norm === 0 ? 0 : await errorAlong(unit(own))
    checks.push({ name, norm, error: Math.max(ownError, median(errors)) })
  }
  return checks
}

function norm2(values: Float32Array | Float64Array): number {
  let sum = 0
  for (const value of values) sum += value * value
  return Math.sqrt(sum)
}

function unit(values: Float64Array): Float64Array {
  const length = norm2(values)
  return values.map((value) => value / length)
}
