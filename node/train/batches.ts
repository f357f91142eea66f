// The order in which samples are trained on: every one once an epoch, shuffled anew each time, from a seed.
// It is a function of seed and position alone, so that training can go on anywhere in it.
import { createPrng } from '../../protocol/prng.ts'
import { allRows } from '../data/rows.ts'

export interface BatchOptions {
  samples: number
  batchSize: number
  seed: number
  /** Default true. */
  shuffle?: boolean
  /**
   * True: an epoch ends with a smaller batch where the samples do not fill the last one, as with PyTorch's DataLoader. False: a batch
   * may end one epoch and begin the next, so that all have the same size.
   */
  epochs: boolean
  /** With `epochs`: leave the smaller batch out, for a model that takes one size only. */
  dropRest?: boolean
}

/** Steps of an epoch with `epochs`; none where a model that takes one size only has fewer samples than that. */
export const stepsPerEpoch = (samples: number, batchSize: number, dropRest: boolean): number =>
  dropRest ? Math.floor(samples / batchSize) : Math.ceil(samples / batchSize)

export interface Block {
  steps: number
  /** Samples of each of its batches. */
  batchSize: number
  /** Rows, [steps, batchSize]. */
  index: Int32Array
}

export interface Batches {
  /** The batches from step `first` on, counted from 0: as many as asked for, or fewer where their size changes. */
  block(first: number, steps: number): Block
}

export function createBatches({ samples, batchSize, seed, shuffle = true, epochs, dropRest = false }: BatchOptions): Batches {
  const perEpoch = stepsPerEpoch(samples, batchSize, dropRest)
  const rest = dropRest ? 0 : samples % batchSize
  let known = -1
  let order = new Int32Array()

  function orderOf(epoch: number): Int32Array {
    if (epoch !== known) {
      order = allRows(samples)
      if (shuffle) createPrng(`${seed} epoch ${epoch}`).shuffle(order)
      known = epoch
    }
    return order
  }

  /** Rows at position `at` of all epochs laid end to end. */
  function fill(index: Int32Array, at: number): Int32Array {
    for (let filled = 0; filled < index.length; ) {
      const [epoch, begin] = [Math.floor(at / samples), at % samples]
      const part = orderOf(epoch).subarray(begin, begin + index.length - filled)
      index.set(part, filled)
      filled += part.length
      at += part.length
    }
    return index
  }

  return {
    block(first, asked) {
      if (!epochs) return { steps: asked, batchSize, index: fill(new Int32Array(asked * batchSize), first * batchSize) }
      const [epoch, step] = [Math.floor(first / perEpoch), first % perEpoch]
      const at = epoch * samples + step * batchSize
      if (rest > 0 && step === perEpoch - 1) return { steps: 1, batchSize: rest, index: fill(new Int32Array(rest), at) }
      const count = Math.min(asked, perEpoch - step - (rest > 0 ? 1 : 0))
      return { steps: count, batchSize, index: fill(new Int32Array(count * batchSize), at) }
    },
  }
}

/** At most `limit` rows of `samples`, at a regular stride. */
export function strided(samples: number, limit = samples): Int32Array {
  const count = Math.min(samples, Math.max(1, limit))
  return Int32Array.from({ length: count }, (_, i) => Math.floor((i * samples) / count))
}
