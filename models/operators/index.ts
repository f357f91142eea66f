// The primitive operators that can be trained: a table of shapes and gradients, one file a family.
// To add an operator: a rule here, or, where others express it, a line in ../decompositions.ts.
import { convolution } from './convolution.ts'
import { elementwise } from './elementwise.ts'
import { linear } from './linear.ts'
import { pooling } from './pooling.ts'
import { shaping } from './shaping.ts'
import { softmax } from './softmax.ts'
import type { Operators } from './types.ts'

export type { GradientContext, Operator, Shape, ShapeContext } from './types.ts'

export const OPERATORS: Operators = { ...elementwise, ...linear, ...convolution, ...pooling, ...shaping, ...softmax }
