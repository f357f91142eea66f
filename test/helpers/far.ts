/** The greatest difference of two vectors at a coordinate; in relation to the second where that is above 1. */
export const far = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!) / Math.max(1, Math.abs(b[i]!))))
