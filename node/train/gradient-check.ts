// Compares a gradient with finite differences of the loss, tensor by tensor, in the float32 that training itself uses.
import { type Layout, sizeOf } from '../../protocol/layout.ts'
import { createPrng } from '../../protocol/prng.ts'
import { median } from '../../protocol/statistics.ts'

export interface TensorCheck {
  name: string
  /** Length of the gradient. */
  norm: number
  /** |slope by differences - slope by gradient| / the larger of both and of what is usual in such a direction; the median of several. */
  error: number
}

/** Around what is checked: fresh weights of exactly zero hide gradients, and equal ones tie maxima. As a share of a tensor's usual value. */
const SCATTER = 0.1

/** Parameters close to `params` but with nothing special about them. */
export function scattered(layout: Layout, params: Float32Array): Float32Array {
  const prng = createPrng('scatter')
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

/** Lengths of the step to both sides, as shares of the tensor's own length (or of 1): too short drowns in rounding, too long in curvature. */
const STEPS = [1e-1, 3e-2, 1e-2, 3e-3, 1e-3]
/** Beside the gradient's own. Kinks of rectifiers and maxima fall on some directions, a wrong gradient on all. */
const RANDOM_DIRECTIONS = 4

/** Rounding of a float32 loss, as a share of it, and how far a slope must stand out from it to be compared. */
const ROUNDING = 3e-7
const CLEAR = 100

/**
 * Along the gradient itself, where the slope is largest, and along a random direction, which a gradient that is zero by mistake does
 * not escape. Of the steps whose slope stands out from rounding the one that agrees best counts; where none does, the longest.
 * @param gradient dL/d params, of the layout's size
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
  for (const { name, shape, offset, segment } of layout) {
    if (segment === 'stats') continue
    const size = sizeOf(shape)
    const own = gradient.subarray(offset, offset + size)
    const length = Math.max(1e-3, norm2(params.subarray(offset, offset + size)))
    const random = Array.from({ length: RANDOM_DIRECTIONS }, () => Float64Array.from({ length: size }, () => prng.normal()))
    const errors: number[] = []
    for (const direction of [own, ...random]) {
      const norm = norm2(direction)
      if (norm === 0) continue
      const expected = own.reduce((sum, value, i) => sum + (value * direction[i]!) / norm, 0)
      // A random direction meets the gradient's by chance only, and a slope near zero has nothing to compare.
      const usual = norm2(own) / Math.sqrt(size)
      let best = Number.POSITIVE_INFINITY
      for (const share of STEPS) {
        const step = share * length
        const at = (sign: number) => {
          const moved = params.slice()
          for (let i = 0; i < size; i++) moved[offset + i]! += (sign * step * direction[i]!) / norm
          return lossAt(moved)
        }
        const slope = ((await at(1)) - (await at(-1))) / (2 * step)
        const clear = (CLEAR * ROUNDING * Math.max(1, Math.abs(base))) / step
        const slopes = Math.max(Math.abs(slope), Math.abs(expected), usual)
        if (slopes < clear && step !== STEPS[0]! * length) continue
        best = Math.min(best, Math.abs(slope - expected) / Math.max(slopes, clear))
      }
      errors.push(best)
    }
    checks.push({ name, norm: norm2(own), error: median(errors) })
  }
  return checks
}

function norm2(values: Float32Array | Float64Array): number {
  let sum = 0
  for (const value of values) sum += value * value
  return Math.sqrt(sum)
}
