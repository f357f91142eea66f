// How long a round gathers: long enough for the peers that usually arrive, whatever the slowest does.

/** Arrivals remembered: a few rounds of a full view. */
export const ARRIVALS_KEPT = 64
/** Deviations above the median that still count as usual. */
const DEVIATIONS = 4

const medianOf = (sorted: readonly number[]): number => {
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

/** Median plus k median absolute deviations of recent arrivals, within the task's bounds; the upper bound while nothing is known. */
export function gatherMillis(arrivals: readonly number[], min: number, max: number): number {
  if (arrivals.length === 0) return max
  const sorted = [...arrivals].sort((a, b) => a - b)
  const median = medianOf(sorted)
  const deviation = medianOf(sorted.map((arrival) => Math.abs(arrival - median)).sort((a, b) => a - b))
  return Math.min(max, Math.max(min, median + DEVIATIONS * deviation))
}
