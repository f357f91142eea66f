// Computes a node now where all its inputs are known: exported models write shapes, ranges and masks as chains of small nodes.
// One file a family in folding/; each operator is checked against onnxruntime.
import { sizeOf } from '../protocol/layout.ts'
import { creating, ofShape } from './folding/creating.ts'
import { elementwise } from './folding/elementwise.ts'
import { gathering } from './folding/gathering.ts'
import { reducing } from './folding/reducing.ts'
import { selecting } from './folding/selecting.ts'
import { shaping } from './folding/shaping.ts'
import { FOLD_ELEMENTS, type Folds, malformed, withData } from './folding/values.ts'
import type { Node, Tensor } from './graph.ts'
import type { Shape } from './operators/types.ts'

export { FOLD_ELEMENTS } from './folding/values.ts'

const FOLDS: Folds = { ...elementwise, ...shaping, ...selecting, ...gathering, ...reducing, ...creating, ...ofShape }

/** Operators that can be computed here; a few of them are supported in no other way. */
export const FOLDED: readonly string[] = Object.keys(FOLDS)

/** Operators that read a few elements of their first input, which may therefore be large. */
const PICKS: readonly string[] = ['Slice', 'Gather', 'GatherElements', 'GatherND']

const isKnown = (tensor: Tensor | undefined): tensor is Tensor =>
  tensor !== undefined && (tensor.data !== undefined || sizeOf(tensor.dims) === 0)

/**
 * The node's results, one for each of its outputs; undefined where they cannot be told, or have more than FOLD_ELEMENTS elements.
 * @param shapes of the inputs
 * @param constants the inputs that are known; undefined for one that is not, or that was left out (its name is empty)
 * @param spend told how many elements are read, before they are
 * @throws model-invalid if the node is not as ONNX says
 */
export function fold(
  node: Node,
  shapes: readonly Shape[],
  constants: readonly (Tensor | undefined)[],
  spend?: (elements: number) => void,
): Tensor[] | undefined {
  const rule = Object.hasOwn(FOLDS, node.op) ? FOLDS[node.op] : undefined
  if (rule === undefined) return undefined
  const needsShapeOnly = Object.hasOwn(ofShape, node.op)
  const isReady = (name: string, i: number): boolean =>
    name === '' || (isKnown(constants[i]) && (sizeOf(constants[i].dims) <= FOLD_ELEMENTS || (i === 0 && PICKS.includes(node.op))))
  if (!needsShapeOnly && !node.inputs.every(isReady)) return undefined
  spend?.(node.inputs.reduce((sum, _, i) => sum + Math.min(FOLD_ELEMENTS, constants[i] === undefined ? 0 : sizeOf(constants[i].dims)), 1))

  const optional = (index: number): Tensor | undefined => {
    const tensor = node.inputs[index] ? constants[index] : undefined
    return tensor && withData(tensor)
  }
  const results = rule({
    node,
    shapes,
    optional,
    input(index) {
      const tensor = optional(index)
      if (tensor === undefined) throw malformed(node, `is without input ${index}`)
      return tensor
    },
  })
  if (results === undefined) return undefined
  const list = Array.isArray(results) ? results : [results]
  if (list.length < node.outputs.length) throw malformed(node, `has ${node.outputs.length} results, of which ${list.length} exist`)
  return list
}
