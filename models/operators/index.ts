// The primitive operators that can be trained: a table of shapes and gradients, one file a family.
// To add an operator: a rule here, or, where others express it, a line in ../decompositions/.
import { activations } from './activations.ts'
import { convolution } from './convolution.ts'
import { regularization } from './dropout.ts'
import { elementwise } from './elementwise.ts'
import { indexing } from './indexing.ts'
import { linear } from './linear.ts'
import { normalization } from './normalization.ts'
import { pooling } from './pooling.ts'
import { reductions } from './reduction.ts'
import { selection } from './selection.ts'
import { shaping } from './shaping.ts'
import { softmax } from './softmax.ts'
import type { Operators } from './types.ts'

export type { GradientContext, Operator, Shape, ShapeContext } from './types.ts'

export const OPERATORS: Operators = {
  ...elementwise,
  ...activations,
  ...linear,
  ...convolution,
  ...pooling,
  ...shaping,
  ...softmax,
  ...normalization,
  ...regularization,
  ...indexing,
  ...reductions,
  ...selection,
}
