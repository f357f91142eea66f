// The allow-list of operators: what can be differentiated, decomposed into that, or computed from shapes alone.
import { MurmurError } from '../protocol/errors.ts'
import { DECOMPOSITIONS } from './decompositions.ts'
import { FOLDED } from './fold.ts'
import { describeNode, type Node } from './graph.ts'
import { OPERATORS } from './operators/index.ts'

export const SUPPORTED_OPERATORS: readonly string[] = [...new Set([...Object.keys(OPERATORS), ...Object.keys(DECOMPOSITIONS)])].sort()

const supported = new Set([...SUPPORTED_OPERATORS, ...FOLDED])

export const isSupported = (op: string): boolean => supported.has(op)

export function unsupported(node: Node): MurmurError {
  return new MurmurError(
    'operator-unsupported',
    `The model uses the operator ${describeNode(node)}, which cannot be trained here; supported are ${SUPPORTED_OPERATORS.join(', ')}.`,
  )
}
