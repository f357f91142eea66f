// Pooling over whole images.
import { intTensor } from '../graph.ts'
import type { Decomposition, Decompositions } from './types.ts'

const global =
  (op: string): Decomposition =>
  (node, { emit, define, shapes }) =>
    emit(op, [node.inputs[0]!, define(intTensor([...shapes[0]!.keys()].slice(2)))], { keepdims: { int: 1 } }, node.outputs)

export const pooling: Decompositions = { GlobalAveragePool: global('ReduceMean'), GlobalMaxPool: global('ReduceMax') }
