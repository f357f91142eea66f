// A seeded generator of random numbers: the same seed gives the same stream on every machine. Not for secrets.

export interface Prng {
  /** Uniform in [0, 1), 53 bits. */
  next(): number
  /** Uniform integer in [0, n), without bias; n is an integer from 1 to 2^32. */
  int(n: number): number
  /** Standard normal: mean 0, variance 1. */
  normal(): number
  /** Gamma with scale 1: mean and variance `shape`, which is > 0. */
  gamma(shape: number): number
  /** Permutes in place, each order as likely as any other; returns its argument. */
  shuffle<T extends Int32Array | Uint32Array | unknown[]>(items: T): T
}

const TWO_32 = 2 ** 32
/** Outputs of sfc32 that are dropped so that every bit of its state depends on the whole seed. */
const WARM_UP = 16

/**
 * @param seed any number or text; a number seeds as its decimal text does, so `createPrng(7)` equals `createPrng('7')`.
 *   Independent streams take seeds such as `${seed} batches`.
 */
export function createPrng(seed: number | string): Prng {
  let [a, b, c, counter] = expand(String(seed))
  /** The second of a pair of normals that the polar method makes. */
  let spare: number | undefined

  // sfc32 by Chris Doty-Humphrey, "PractRand": 128 bits of state, passes BigCrush.
  function word(): number {
    const out = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + out
    c |= 0
    return out >>> 0
  }
  for (let i = 0; i < WARM_UP; i++) word()

  const next = () => ((word() >>> 5) * 2 ** 26 + (word() >>> 6)) / 2 ** 53

  function int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > TWO_32) throw new RangeError(`int() takes a whole number from 1 to 2^32, not ${n}`)
    // Words below this bound fall evenly into n classes; the few above are drawn again.
    const bound = TWO_32 - (TWO_32 % n)
    for (;;) {
      const drawn = word()
      if (drawn < bound) return drawn % n
    }
  }

  // Marsaglia and Bray 1964, "A convenient method for generating normal variables".
  function normal(): number {
    if (spare !== undefined) {
      const value = spare
      spare = undefined
      return value
    }
    for (;;) {
      const x = 2 * next() - 1
      const y = 2 * next() - 1
      const s = x * x + y * y
      if (s >= 1 || s === 0) continue
      const factor = Math.sqrt((-2 * Math.log(s)) / s)
      spare = y * factor
      return x * factor
    }
  }

  // Marsaglia and Tsang 2000, "A simple method for generating gamma variables"; below 1 by their boost, section 6.
  function gamma(shape: number): number {
    if (!(shape > 0 && shape < Number.POSITIVE_INFINITY)) throw new RangeError(`gamma() takes a shape above 0, not ${shape}`)
    if (shape < 1) return gamma(shape + 1) * (1 - next()) ** (1 / shape)
    const d = shape - 1 / 3
    const k = 1 / Math.sqrt(9 * d)
    for (;;) {
      const x = normal()
      const v = (1 + k * x) ** 3
      if (v > 0 && Math.log(1 - next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v
    }
  }

  function shuffle<T extends Int32Array | Uint32Array | unknown[]>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = int(i + 1)
      const held = items[i]
      items[i] = items[j]
      items[j] = held
    }
    return items
  }

  return { next, int, normal, gamma, shuffle }
}

/** Four words from text: each lane takes in every UTF-16 unit, and MurmurHash3's finalizer spreads them. */
function expand(text: string): [number, number, number, number] {
  const lane = (basis: number) => {
    let hash = basis
    for (let i = 0; i < text.length; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0xcc9e2d51)
      hash = Math.imul((hash << 15) | (hash >>> 17), 0x1b873593)
    }
    hash ^= text.length
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    return hash ^ (hash >>> 16)
  }
  // Fractional digits of pi: bases with nothing up the sleeve.
  return [lane(0x243f6a88), lane(0x85a308d3), lane(0x13198a2e), lane(0x03707344)]
}
