// Spectral heterogeneity (Gaucher, Dieuleveut and Hendrikx, ICML 2025): pushes each receiver outwards along the direction in which the
// honest graph is easiest to pull apart, its Fiedler vector, by what the honest differ in it already.
import { fiedlerVector } from './fiedler.ts'
import { type LineSearch, mostHarmful } from './line-search.ts'
import type { BoundAttack } from './types.ts'
import { alike, along } from './vectors.ts'

/** @param factor 'optimal': found against the receiver's rule */
export const spectral = (factor: number | 'optimal', search: LineSearch): BoundAttack => ({
  forge(known) {
    const { honest, f, own, graph } = known
    const n = honest.length
    const fiedler = fiedlerVector(graph ?? new Float64Array(n * n).fill(1 / n), n)
    const direction = new Float64Array(honest[0]!.length)
    for (const [j, vector] of honest.entries()) {
      for (let c = 0; c < direction.length; c++) direction[c]! += fiedler[own]! * fiedler[j]! * vector[c]!
    }
    const candidate = (times: number) => along(Float64Array.from(honest[own]!), direction, times)
    return alike(f, factor === 'optimal' ? mostHarmful('spectral', known, candidate, search) : candidate(factor))
  },
  perTarget: true,
})
