// Where the running variances of a model lie in its flat vector: what is below 0 there is the variance of nothing.
import { sizeOf } from '../protocol/layout.ts'
import type { Model } from './load.ts'

/** Input of BatchNormalization that is the running variance. */
const VARIANCE = 4

/** Ranges [from, to) of the exchanged ones. */
export function variancesIn({ graph, layout }: Model): [number, number][] {
  const names = new Set(graph.nodes.filter(({ op }) => op === 'BatchNormalization').map(({ inputs }) => inputs[VARIANCE]))
  return layout
    .filter(({ name, segment }) => segment === 'stats' && names.has(name))
    .map(({ offset, shape }) => [offset, offset + sizeOf(shape)])
}
