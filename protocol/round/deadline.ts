// How long a round gathers: long enough for the peers that usually arrive, whatever the slowest does.
import { median } from '../statistics.ts'

/** Arrivals remembered: a few rounds of a full view. */
export const ARRIVALS_KEPT = 64
/** Deviations above the median that still count as usual. */
const DEVIATIONS = 4

/** Median plus k median absolute deviations of recent arrivals, within the task's bounds; the upper bound while nothing is known. */
export function gatherMillis(arrivals: readonly number[], min: number, max: number): number {
  if (arrivals.length === 0) return max
  const usual = median(arrivals)
  const deviation = median(arrivals.map((arrival) => Math.abs(arrival - usual)))
  return Math.min(max, Math.max(min, usual + DEVIATIONS * deviation))
}
