// Operators that others express: tables of rewrites, one file a family, so that they need no gradient of their own.
import type { Node } from '../graph.ts'
import { activations } from './activations.ts'
import { arithmetic } from './arithmetic.ts'
import { blocks } from './blocks.ts'
import { dropout } from './dropout.ts'
import { einsum } from './einsum.ts'
import { normalization } from './normalization.ts'
import { padding } from './padding.ts'
import { pooling } from './pooling.ts'
import { recurrent } from './recurrent.ts'
import { reductions } from './reductions.ts'
import { resize } from './resize.ts'
import { shaping } from './shaping.ts'
import type { Decomposition, Decompositions } from './types.ts'
import { windows } from './windows.ts'

export type { DecompositionContext } from './types.ts'

export const DECOMPOSITIONS: Decompositions = {
  ...activations,
  ...arithmetic,
  ...blocks,
  ...dropout,
  ...einsum,
  ...normalization,
  ...padding,
  ...pooling,
  ...recurrent,
  ...reductions,
  ...resize,
  ...shaping,
  ...windows,
}

/** The rewrite of an operator, if it has one. */
export const decompositionOf = (node: Node): Decomposition | undefined =>
  Object.hasOwn(DECOMPOSITIONS, node.op) ? DECOMPOSITIONS[node.op] : undefined
