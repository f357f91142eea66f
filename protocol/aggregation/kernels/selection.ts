// Selection networks: comparators that sort just as much of n values as a result needs. Parberry's pairwise sorting network (1992), from
// which every comparator is taken out that nobody would see the work of, in an order that keeps few values in hand at a time.

export interface Comparator {
  /** Wires; the lower value goes to `low`. Where a value is not needed, it need not be computed. */
  low: number
  high: number
  needsLow: boolean
  needsHigh: boolean
}

/** What becomes of the value at a position of the sorted order: positions of one name are used alike, such as added up. */
export type Use = (position: number) => string

/** The use of values that are thrown away. */
export const DROPPED = 'dropped'

/** Afterwards wire i holds a value whose use is that of position i. */
export function selectionNetwork(n: number, use: Use): Comparator[] {
  const full = 2 ** Math.ceil(Math.log2(n))
  const network = pairwise(full)
  // The wires that n values leave free stand for values below or above them all: whichever makes for less work.
  const choices = Array.from({ length: full - n + 1 }, (_, below) =>
    prune(
      network.filter(([low, high]) => low >= below && high < below + n).map(([low, high]) => [low - below, high - below]),
      n,
      use,
    ),
  )
  return ordered(choices.reduce((best, choice) => (operations(choice) < operations(best) ? choice : best)))
}

const operations = (comparators: readonly Comparator[]): number =>
  comparators.reduce((sum, { needsLow, needsHigh }) => sum + Number(needsLow) + Number(needsHigh), 0)

function prune(network: [number, number][], n: number, use: Use): Comparator[] {
  const uses = Array.from({ length: n }, (_, position) => use(position))
  const kept: Comparator[] = []
  for (const [low, high] of network.toReversed()) {
    // Both go the same way from here on, so that it does not matter which is which.
    if (uses[low] === uses[high]) continue
    kept.push({ low, high, needsLow: uses[low] !== DROPPED, needsHigh: uses[high] !== DROPPED })
    uses[low] = `comparator ${kept.length}`
    uses[high] = uses[low]
  }
  return kept.reverse()
}

/** For n a power of 2. */
function pairwise(n: number): [low: number, high: number][] {
  const pairs: [number, number][] = []
  for (let distance = 1; distance < n; distance *= 2) {
    for (let i = distance; i < n; i++) if ((i & distance) !== 0) pairs.push([i - distance, i])
  }
  for (let distance = n / 4, most = 1; distance >= 1; distance /= 2, most = 2 * most + 1) {
    for (let reach = most; reach >= 1; reach = Math.floor(reach / 2)) {
      for (let i = (reach + 1) * distance; i < n; i++) if ((i & distance) === 0) pairs.push([i - reach * distance, i])
    }
  }
  return pairs
}

/**
 * The same comparators, each after those that it depends on, so that as few values as possible are in registers: next is always one that
 * frees the most of them or loads the fewest, and among those the one furthest on.
 */
function ordered(comparators: readonly Comparator[]): Comparator[] {
  const left = [...comparators]
  const touched = new Set<number>()
  const result: Comparator[] = []
  while (left.length > 0) {
    const later = left.map(({ low, high }) => [low, high])
    const lastUse = new Map(later.flatMap((wires, i) => wires.map((wire) => [wire, i])))
    const blocked = new Set<number>()
    let best = -1
    let bestCost = Number.POSITIVE_INFINITY
    for (const [i, { low, high, needsLow, needsHigh }] of left.entries()) {
      if (!blocked.has(low) && !blocked.has(high)) {
        const loads = Number(!touched.has(low)) + Number(!touched.has(high))
        const freed = Number(!needsLow || lastUse.get(low) === i) + Number(!needsHigh || lastUse.get(high) === i)
        const cost = loads - freed
        if (cost <= bestCost) [best, bestCost] = [i, cost]
      }
      blocked.add(low).add(high)
    }
    const [next] = left.splice(best, 1) as [Comparator]
    touched.add(next.low).add(next.high)
    result.push(next)
  }
  return result
}
