// How a model's tensors lie in the one flat float32 vector that peers train, exchange and average.

/** shared: exchanged and averaged; stats: exchanged, averaged coordinate-wise (BatchNorm); personal: never leaves. */
export type Segment = 'shared' | 'stats' | 'personal'

export interface LayoutEntry {
  name: string
  shape: number[]
  /** Index of the tensor's first float in the flat vector. */
  offset: number
  segment: Segment
}

/** Ordered shared, then stats, then personal, each entry following the one before without a gap. */
export type Layout = readonly LayoutEntry[]

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1)

/** Floats in the whole vector, or in the given segments only. */
export function layoutSize(layout: Layout, ...segments: Segment[]): number {
  return layout
    .filter((entry) => segments.length === 0 || segments.includes(entry.segment))
    .reduce((sum, entry) => sum + sizeOf(entry.shape), 0)
}

/** Floats that travel: `shared || stats`, always a prefix of the flat vector. */
export const exchangedSize = (layout: Layout): number => layoutSize(layout, 'shared', 'stats')

export const sameLayout = (a: Layout, b: Layout): boolean =>
  a.length === b.length &&
  a.every((entry, i) => {
    const other = b[i]!
    return entry.name === other.name && entry.segment === other.segment && entry.shape.join() === other.shape.join()
  })
