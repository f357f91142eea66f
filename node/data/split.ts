// Keeps a random part of a peer's data for validation, the same one at each start.
import { MurmurError } from '../../protocol/errors.ts'
import { createPrng } from '../../protocol/prng.ts'

/**
 * @param indices samples of the peer's part
 * @param share of them for validation: 0, none, or between 0 and 1, where both sides get at least one sample
 * @returns disjoint, each ascending
 * @throws bad-argument, data-invalid for fewer samples than sides
 */
export function splitValidation(indices: Int32Array, share: number, seed: number | string): { train: Int32Array; validation: Int32Array } {
  if (!(share >= 0 && share < 1)) throw new MurmurError('bad-argument', `The validation share is ${share}; give 0, or a number below 1.`)
  if (share === 0 && indices.length > 0) return { train: Int32Array.from(indices).sort(), validation: new Int32Array() }
  if (indices.length < 2) {
    throw new MurmurError('data-invalid', `The data has ${indices.length} samples; at least 2 are needed, to train and to validate.`)
  }
  const order = createPrng(`${seed} validation`).shuffle(Int32Array.from(indices))
  const count = Math.min(indices.length - 1, Math.max(1, Math.round(indices.length * share)))
  return { train: order.slice(count).sort(), validation: order.slice(0, count).sort() }
}
