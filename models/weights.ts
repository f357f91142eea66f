// A whole ONNX model to a hollow graph and one flat parameter vector, and back.
import { create } from '@bufbuild/protobuf'
import { MurmurError } from '../protocol/errors.ts'
import { type Layout, layoutSize, type Segment, sizeOf } from '../protocol/layout.ts'
import { LIMITS } from '../protocol/limits.ts'
import { floatsOf, invalid, TYPE } from './graph.ts'
import { checkModel, layoutOf, readModel, SEGMENT_KEY } from './load.ts'
import { lower } from './lower.ts'
import { StringStringEntryProtoSchema, type TensorProto } from './onnx_pb.ts'
import { writeModel } from './serialize.ts'

export interface SplitOptions {
  /** Names of the initializers to train, `*` standing for any text; default: all float32 ones but scalars. The others stay fixed. */
  trainable?: readonly string[]
  /** Names of trainable initializers that never leave their peer; default none. */
  personal?: readonly string[]
}

export interface SplitModel {
  /** The ONNX graph with the trainable tensors' values taken out; their shapes stay. */
  graph: Uint8Array
  layout: Layout
  /** All values, as `layout` orders them. */
  params: Float32Array
}

/** @throws limit-exceeded, model-invalid, operator-unsupported; bad-argument if a pattern matches no initializer */
export function splitWeights(bytes: Uint8Array, { trainable, personal = [] }: SplitOptions = {}): SplitModel {
  const proto = readModel(bytes, LIMITS.payloadBytes)
  const { graph, layout: hollow } = checkModel(proto)
  if (hollow.length > 0) throw invalid('The model has no weights; pass the one they were not taken from.')
  const floats = [...graph.constants].filter(([, { type }]) => type === TYPE.float32)
  const isTrainable = matcher('trainable', trainable ?? ['*'], floats)
  const isPersonal = matcher('personal', personal, floats)
  const tensors = floats
    .filter(([name, { dims }]) => sizeOf(dims) > 0 && (trainable === undefined ? dims.length > 0 : isTrainable(name)))
    .map(([name, { dims }]) => ({ name, shape: [...dims], segment: isPersonal(name) ? 'personal' : ('shared' as Segment) }))
  const layout = layoutOf(tensors)
  if (layout.length === 0) throw invalid('The model has no float32 weights to train.')
  const params = new Float32Array(layoutSize(layout))
  const initializers = new Map(proto.graph!.initializer.map((tensor) => [tensor.name, tensor]))
  for (const { name, offset, segment } of layout) {
    params.set(floatsOf(graph.constants.get(name)!), offset)
    const tensor = initializers.get(name)!
    fill(tensor, undefined)
    if (segment === 'personal') tensor.metadataProps.push(create(StringStringEntryProtoSchema, { key: SEGMENT_KEY, value: segment }))
  }
  // Shapes and types of values are inferred again by whoever needs them.
  proto.graph!.valueInfo = []
  const hollowBytes = writeModel(proto)
  if (hollowBytes.length > LIMITS.modelBytes) {
    throw new MurmurError(
      'limit-exceeded',
      `Without its weights the model still has ${hollowBytes.length} bytes; at most ${LIMITS.modelBytes} are accepted.`,
    )
  }
  lower(checkModel(proto), 1)
  return { graph: hollowBytes, layout, params }
}

/**
 * An ordinary ONNX model for inference: the hollow graph with the values of `params` (layoutSize(layout) floats) put in.
 * @throws model-invalid, bad-argument if the vector or the layout does not fit the graph
 */
export function exportModel(graph: Uint8Array, layout: Layout, params: Float32Array): Uint8Array {
  const proto = readModel(graph)
  if (params.length !== layoutSize(layout)) {
    throw new MurmurError('bad-argument', `The layout has ${layoutSize(layout)} parameters, but ${params.length} were given.`)
  }
  const initializers = new Map(proto.graph?.initializer.map((tensor) => [tensor.name, tensor]))
  for (const { name, shape, offset } of layout) {
    const tensor = initializers.get(name)
    if (tensor === undefined || tensor.dims.map(Number).join() !== shape.join()) {
      throw new MurmurError('bad-argument', `The model has no tensor "${name}" of shape [${shape.join(', ')}], which the layout names.`)
    }
    // A copy: its own buffer, little-endian as every machine that Node runs on.
    fill(tensor, new Uint8Array(params.slice(offset, offset + sizeOf(shape)).buffer))
    tensor.metadataProps = tensor.metadataProps.filter(({ key }) => key !== SEGMENT_KEY)
  }
  return writeModel(proto)
}

function fill(tensor: TensorProto, data: Uint8Array | undefined): void {
  tensor.floatData = []
  if (data === undefined) delete tensor.rawData
  else tensor.rawData = data
}

/** Whether a name matches one of the patterns, every one of which must match something. */
function matcher(option: string, patterns: readonly string[], tensors: readonly (readonly [string, unknown])[]) {
  const tests = patterns.map((pattern) => {
    const parts = pattern.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'))
    const test = new RegExp(`^${parts.join('.*')}$`, 's')
    if (!tensors.some(([name]) => test.test(name)) && pattern !== '*') {
      const names = tensors.map(([name]) => name)
      throw new MurmurError('bad-argument', `${option} "${pattern}" matches no float32 tensor of the model; it has ${names.join(', ')}.`)
    }
    return test
  })
  return (name: string) => tests.some((test) => test.test(name))
}
