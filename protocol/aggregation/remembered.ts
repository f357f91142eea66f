// A matrix that makes no pass for distances twice: a rule and the audit ask for the same ones.
import type { Matrix } from './matrix.ts'

export function remembered(matrix: Matrix): Matrix {
  const pairs = new Map<number, Float64Array>()
  const fromRow = new Map<string, Float64Array>()
  const n = matrix.count

  function distances(shared: number): Float64Array {
    const known = pairs.get(shared) ?? matrix.distances(shared)
    pairs.set(shared, known)
    return known
  }

  return {
    count: n,
    length: matrix.length,
    distances,
    distancesFrom(center, shared) {
      if (typeof center !== 'number') return matrix.distancesFrom(center, shared)
      const key = `${center} ${shared}`
      const known = fromRow.get(key) ?? pairs.get(shared)?.slice(center * n, (center + 1) * n) ?? matrix.distancesFrom(center, shared)
      fromRow.set(key, known)
      return known
    },
    norms: (shared) => matrix.norms(shared),
    combine: (weights, output) => matrix.combine(weights, output),
    trimmedMean: (trim, output) => matrix.trimmedMean(trim, output),
    mixed: (weights) => remembered(matrix.mixed(weights)),
    ...(matrix.rows && { rows: () => matrix.rows!() }),
  }
}
