// Copies for another thread, made in pieces: a large model in one go would make this thread late for everyone it talks to.
import { setImmediate } from 'node:timers/promises'

/** Values copied at a time, half a millisecond's work; between two pieces the event loop has its turn. */
const PIECE = 256 * 1024

/** A copy in a buffer of its own, to be moved. `values` must not change until it is there. */
export async function copyOf(values: Float32Array): Promise<Float32Array<ArrayBuffer>> {
  const copy = new Float32Array(values.length)
  for (let at = 0; at < values.length; at += PIECE) {
    if (at > 0) await setImmediate()
    copy.set(values.subarray(at, at + PIECE), at)
  }
  return copy
}
