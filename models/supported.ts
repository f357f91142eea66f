// The allow-list of operators: what can be differentiated, decomposed into that, or computed from shapes alone.
import { MurmurError } from '../protocol/errors.ts'
import { DECOMPOSITIONS } from './decompositions/index.ts'
import { FOLDED } from './fold.ts'
import { describeNode, type Node } from './graph.ts'
import { OPERATORS } from './operators/index.ts'

export const SUPPORTED_OPERATORS: readonly string[] = [...new Set([...Object.keys(OPERATORS), ...Object.keys(DECOMPOSITIONS)])]
  // A dot marks the compilers' own, which no model may name.
  .filter((op) => !op.includes('.'))
  .sort()

/** If counts where its condition is known once shapes are: exporters write it for sizes they did not know. */
const supported = new Set([...SUPPORTED_OPERATORS, ...FOLDED, 'If'])

export const isSupported = (op: string): boolean => supported.has(op)

export function unsupported(node: Pick<Node, 'op' | 'name'>): MurmurError {
  return new MurmurError(
    'operator-unsupported',
    `The model uses the operator ${describeNode(node)}, which cannot be trained here; supported are ${SUPPORTED_OPERATORS.join(', ')}.`,
  )
}
