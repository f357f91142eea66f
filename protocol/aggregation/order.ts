// Rows chosen by a number, the lowest first, of equal ones the lower index; and the factors of plain means of rows.

/** Indices of all values in rising order. */
export function rising(values: ArrayLike<number>): number[] {
  // The sort is stable, which breaks ties by index. Compared, not subtracted: Infinity - Infinity is not a number.
  return Array.from(values, (_, i) => i).sort((a, b) => (values[a]! < values[b]! ? -1 : values[a]! > values[b]! ? 1 : 0))
}

/** The `count` rows nearest to row `center`, itself first, of equally near ones the lower index; `squared`: distances from it. */
export function nearest(squared: ArrayLike<number>, center: number, count: number): number[] {
  return [center, ...rising(squared).filter((i) => i !== center)].slice(0, count)
}

/** n factors that are 1 / members for the members and 0 for all others. */
export function meanOf(members: readonly number[], n: number): Float64Array {
  const weights = new Float64Array(n)
  for (const i of members) weights[i] = 1 / members.length
  return weights
}

/** Factors of alpha times the own row and 1 - alpha times the mean of the accepted ones. */
export function besideOwn(own: number, alpha: number, accepted: readonly number[], n: number): Float64Array {
  const weights = new Float64Array(n)
  weights[own]! += alpha
  for (const i of accepted) weights[i]! += (1 - alpha) / accepted.length
  return weights
}

/** n equal factors. */
export const alike = (n: number): Float64Array => new Float64Array(n).fill(1 / n)
