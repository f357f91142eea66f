// Folds of operators that make values of no others': constants, shapes, ranges, the identity matrix.
import { sizeOf } from '../../protocol/layout.ts'
import { describeNode, floatTensor, intAttribute, intTensor, invalid, isTensorType, TYPE } from '../graph.ts'
import { ARITHMETIC, ruleOf } from './elementwise.ts'
import { givenShape } from './shaping.ts'
import { FOLD_ELEMENTS, type Fold, type Folds, fits, malformed, take, tensorOf, valuesOf, withData } from './values.ts'

const Constant: Fold = ({ node }) => {
  const { value, value_float, value_floats, value_int, value_ints } = node.attributes
  if (value !== undefined && 'tensor' in value && (value.tensor.data !== undefined || sizeOf(value.tensor.dims) === 0))
    return withData(value.tensor)
  if (value_float !== undefined && 'float' in value_float) return floatTensor([value_float.float], [])
  if (value_floats !== undefined && 'floats' in value_floats) return floatTensor(value_floats.floats, [value_floats.floats.length])
  if (value_int !== undefined && 'int' in value_int) return intTensor([value_int.int], [])
  if (value_ints !== undefined && 'ints' in value_ints) return intTensor(value_ints.ints)
  throw invalid(`${describeNode(node)} has no value of a supported kind; export numbers only.`)
}

const ConstantOfShape: Fold = (context) => {
  const { node } = context
  const value = node.attributes.value ?? { tensor: floatTensor([0], [1]) }
  if (!('tensor' in value) || sizeOf(value.tensor.dims) !== 1 || value.tensor.data === undefined) {
    throw malformed(node, 'has a value that is not one number')
  }
  const dims = givenShape(context, 0)
  return fits(dims) ? take(value.tensor, dims, new Int32Array(sizeOf(dims))) : undefined
}

const Shape: Fold = ({ node, shapes }) => {
  const dims = shapes[0] ?? []
  return intTensor(dims.slice(intAttribute(node, 'start', 0), intAttribute(node, 'end', dims.length)))
}

const Range: Fold = ({ node, input }) => {
  const inputs = [input(0), input(1), input(2)]
  const { type } = inputs[0]!
  const [start, limit, delta] = inputs.map((tensor) => valuesOf(tensor)[0])
  if (inputs.some((tensor) => tensor.type !== type || sizeOf(tensor.dims) !== 1)) {
    throw malformed(node, 'takes other than three numbers of one type')
  }
  if (Number(delta) === 0) throw malformed(node, 'counts in steps of 0')
  // onnxruntime counts in float64, whatever the type, and then adds one step after the other in the type itself.
  const count = Math.max(0, Math.ceil((Number(limit) - Number(start)) / Number(delta)))
  if (!(count <= FOLD_ELEMENTS)) return undefined
  const next = ruleOf(node, ARITHMETIC.Add, type)
  let value = start!
  return tensorOf(type, [count], () => {
    const now = value
    value = next(value, delta!)
    if (type === TYPE.float32) value = Math.fround(Number(value))
    return now
  })
}

/** A matrix of the input's shape. */
const EyeLike: Fold = ({ node, shapes, optional }) => {
  const dims = shapes[0] ?? []
  const [, columns] = dims
  if (columns === undefined || dims.length !== 2) throw malformed(node, `makes an identity matrix of shape [${dims.join(', ')}]`)
  const type = intAttribute(node, 'dtype', optional(0)?.type ?? 0)
  const k = intAttribute(node, 'k', 0)
  if (!isTensorType(type) || !fits(dims)) return undefined
  return tensorOf(type, dims, (i) => ((i % columns) - Math.floor(i / columns) === k ? 1 : 0))
}

/** What the shape of the first input is enough for. */
export const ofShape: Folds = {
  Shape,
  Size: ({ shapes }) => intTensor([sizeOf(shapes[0] ?? [])], []),
  EyeLike,
}

export const creating: Folds = { Constant, ConstantOfShape, Range }
