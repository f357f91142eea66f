// The order in which samples are trained on: every one once an epoch, shuffled anew each time, from a seed.
import { createPrng } from '../../protocol/prng.ts'

/** Writes the rows of the next batches into `index`; a batch may end one epoch and begin the next. */
export type Batches = (index: Int32Array) => void

export function createBatches(samples: number, seed: number): Batches {
  const prng = createPrng(`${seed} batches`)
  const order = Int32Array.from({ length: samples }, (_, i) => i)
  let at = samples
  return (index) => {
    for (let filled = 0; filled < index.length; ) {
      if (at === samples) {
        prng.shuffle(order)
        at = 0
      }
      const count = Math.min(samples - at, index.length - filled)
      index.set(order.subarray(at, at + count), filled)
      at += count
      filled += count
    }
  }
}

/** At most `limit` rows of `samples`, at a regular stride. */
export function strided(samples: number, limit = samples): Int32Array {
  const count = Math.min(samples, Math.max(1, limit))
  return Int32Array.from({ length: count }, (_, i) => Math.floor((i * samples) / count))
}
