// Weights of weights: what mixes of mixes are made of.

/** Row-major product of `a` and `b`, which has `columns` columns. */
export function product(a: ArrayLike<number>, b: Float64Array, columns: number): Float64Array {
  const inner = b.length / columns
  const out = new Float64Array((a.length / inner) * columns)
  for (let i = 0; i < a.length; i++) {
    const [row, k] = [Math.floor(i / inner), i % inner]
    if (a[i] !== 0) for (let j = 0; j < columns; j++) out[row * columns + j]! += a[i]! * b[k * columns + j]!
  }
  return out
}
