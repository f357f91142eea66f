// Backdoor by model replacement (Bagdasaryan et al., AISTATS 2020): part of the attackers' samples carry a trigger, a patch in the last
// corner (BadNets, Gu et al. 2017), and the target's label; the step is scaled up so that it outweighs the honest ones in a mean.
import { MurmurError } from '../../../protocol/errors.ts'
import { sizeOf } from '../../../protocol/layout.ts'
import { createPrng } from '../../../protocol/prng.ts'
import { allRows } from '../../data/rows.ts'
import { takeRows } from '../../data/sample-memory.ts'
import type { DataSet } from '../../data/spec.ts'
import { sharedLike } from './shared-like.ts'
import type { AboutData, BoundAttack, Knowledge } from './types.ts'
import { scaledStep } from './vectors.ts'

interface Backdoor {
  /** The class that the trigger is to bring about. */
  target: number
  /** Rows and columns of the patch; in samples that are no images, the number of the last values. */
  size: number
  /** What the patch is painted with; 'brightest': 255 in bytes and 1 in others. */
  value: number | 'brightest'
  /** Of the attackers' samples. */
  share: number
  /** 'all': as much as replaces the mean of all. */
  scale: number | 'all'
}

export function backdoor({ target, size, value, share, scale }: Backdoor) {
  /** The chosen samples, triggered, with the target's label; the rest as they are. */
  function triggered(data: DataSet, chosen: Iterable<number>, about: AboutData): DataSet {
    const length = sizeOf(about.sampleShape)
    const [x, y] = [sharedLike(data.x), sharedLike(data.y)]
    x.set(data.x)
    y.set(data.y)
    const patch = patchOf(about.sampleShape, size)
    const paint = value === 'brightest' ? (x instanceof Uint8Array ? 255 : 1) : value
    for (const i of chosen) {
      for (const at of patch) x[i * length + at] = paint
      y[i] = target
    }
    return { x, y, samples: data.samples }
  }

  function check({ classes }: AboutData, { y, samples }: DataSet): void {
    if (classes === undefined || y.length !== samples) {
      throw new MurmurError('bad-argument', 'The attack "backdoor" needs data with one class a sample; this task predicts something else.')
    }
    if (target < classes) return
    throw new MurmurError('bad-argument', `The attack "backdoor" has the target ${target}, but classes go from 0 to ${classes - 1}.`)
  }

  return {
    forge: ({ honest, f, trained, start }: Knowledge) =>
      trained!.map((vector) => scaledStep(vector, scale === 'all' ? (honest.length + f) / f : scale, start)),
    poison(data: DataSet, about: AboutData) {
      check(about, data)
      const order = createPrng(`${about.seed} backdoor`).shuffle(allRows(data.samples))
      return triggered(data, order.subarray(0, Math.round(share * data.samples)), about)
    },
    success(data: DataSet, about: AboutData) {
      check(about, data)
      const others = allRows(data.samples).filter((i) => data.y[i] !== target)
      return triggered(chosenOf(data, others), others.keys(), about)
    },
  } satisfies BoundAttack
}

/** Positions in a sample: of images the last rows and columns of each channel. */
function patchOf(shape: readonly number[], size: number): number[] {
  const columns = shape.at(-1) ?? 1
  const rows = shape.length > 1 ? shape.at(-2)! : 1
  const isIn = (at: number) => at % columns >= columns - size && Math.floor(at / columns) % rows >= rows - size
  return Array.from({ length: sizeOf(shape) }, (_, at) => at).filter(isIn)
}

function chosenOf({ x, y, samples }: DataSet, indices: Int32Array): DataSet {
  const [size, length] = [indices.length, x.length / samples]
  const part = { x: x.slice(0, size * length), y: y.slice(0, size), samples: size }
  takeRows(x, indices, part.x, length)
  takeRows(y, indices, part.y, 1)
  return part
}
