// A whole ONNX model to a hollow graph and one flat parameter vector, and back.
import { create } from '@bufbuild/protobuf'
import { MurmurError } from '../protocol/errors.ts'
import { type Layout, layoutSize, type Segment, sizeOf } from '../protocol/layout.ts'
import { LIMITS } from '../protocol/limits.ts'
import { floatsOf, invalid } from './graph.ts'
import { checkModel, layoutOf, readModel, SEGMENT_KEY, segmentOf } from './load.ts'
import { fixedSampleSize, lower, trialBatch } from './lower.ts'
import { type NodeProto, StringStringEntryProtoSchema, type TensorProto } from './onnx_pb.ts'
import { chooseParameters, type SplitOptions } from './parameters.ts'
import { encodeAttribute, writeModel } from './serialize.ts'
import { untie } from './untie.ts'

export interface SplitModel {
  /** The ONNX graph with the trainable tensors' values taken out; their shapes stay. */
  graph: Uint8Array
  layout: Layout
  /** All values, as `layout` orders them. */
  params: Float32Array
}

/** @throws limit-exceeded, model-invalid, operator-unsupported; bad-argument if a pattern matches no initializer */
export function splitWeights(bytes: Uint8Array, options: SplitOptions = {}): SplitModel {
  const proto = readModel(bytes, LIMITS.payloadBytes)
  untie(proto)
  const { graph, layout: hollow } = checkModel(proto)
  if (hollow.length > 0) throw invalid('The model has no weights; pass the one they were not taken from.')
  const initializers = new Map(proto.graph!.initializer.map((tensor) => [tensor.name, tensor]))
  const marked = new Set([...initializers.values()].filter((tensor) => segmentOf(tensor) === 'stats').map(({ name }) => name))
  const chosen = chooseParameters(graph, options, { scalars: proto.producerName === 'pytorch', marked })
  const layout = layoutOf(chosen.map(({ name, tensor, segment }) => ({ name, shape: [...tensor.dims], segment })))
  if (layoutSize(layout, 'shared', 'personal') === 0) throw invalid('The model has no float32 weights to train.')
  const params = new Float32Array(layoutSize(layout))
  for (const { name, offset, segment } of layout) {
    params.set(floatsOf(graph.constants.get(name)!), offset)
    const tensor = initializers.get(name)!
    fill(tensor, undefined)
    mark(tensor, segment === 'shared' ? undefined : segment)
  }
  for (const node of proto.graph!.node) if (node.opType === 'BatchNormalization' && marked.has(node.input[3]!)) useForTraining(node)
  // Shapes and types of values are inferred again by whoever needs them.
  proto.graph!.valueInfo = []
  const hollowBytes = writeModel(proto)
  if (hollowBytes.length > LIMITS.modelBytes) {
    throw new MurmurError(
      'limit-exceeded',
      `Without its weights the model still has ${hollowBytes.length} bytes; at most ${LIMITS.modelBytes} are accepted.`,
    )
  }
  const model = checkModel(proto)
  // Where the model leaves its sample's shape open, only data can tell whether it fits.
  if (fixedSampleSize(model) !== undefined) lower(model, { batch: trialBatch(model), training: true })
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
  const statistics = new Set(proto.graph?.node.filter(followsBatches).flatMap(({ input }) => input.slice(3, 5)))
  for (const { name, shape, offset } of layout) {
    const tensor = initializers.get(name)
    if (tensor === undefined || tensor.dims.map(Number).join() !== shape.join()) {
      throw new MurmurError('bad-argument', `The model has no tensor "${name}" of shape [${shape.join(', ')}], which the layout names.`)
    }
    // A copy: its own buffer, little-endian as every machine that Node runs on.
    fill(tensor, new Uint8Array(params.slice(offset, offset + sizeOf(shape)).buffer))
    // Running statistics stay marked, also personal ones, so that the model can be trained on.
    mark(tensor, statistics.has(name) ? 'stats' : undefined)
  }
  for (const node of proto.graph?.node ?? []) useForInference(node)
  return writeModel(proto)
}

/** A BatchNormalization that was exported for training: operator set 13 says so by its outputs, later ones by an attribute. */
const followsBatches = ({ opType, output, attribute }: NodeProto): boolean =>
  opType === 'BatchNormalization' && (output.length > 1 || attribute.some(({ name, i }) => name === 'training_mode' && i === 1n))

/** Gives back what exportModel took away. */
function useForTraining(node: NodeProto): void {
  if (followsBatches(node)) return
  node.attribute = node.attribute.filter(({ name }) => name !== 'training_mode')
  node.attribute.push(encodeAttribute('training_mode', { int: 1 }))
}

/** Normalise by running statistics, drop nothing: what training export asks of its nodes is for training only. */
function useForInference(node: NodeProto): void {
  if (node.opType === 'BatchNormalization') {
    node.output = node.output.slice(0, 1)
    node.attribute = node.attribute.filter(({ name }) => name !== 'training_mode')
  }
  if (node.opType === 'Dropout') {
    node.output = node.output.slice(0, 1)
    node.input = node.input.slice(0, 2)
  }
}

function mark(tensor: TensorProto, segment: Segment | undefined): void {
  tensor.metadataProps = tensor.metadataProps.filter(({ key }) => key !== SEGMENT_KEY)
  if (segment !== undefined) tensor.metadataProps.push(create(StringStringEntryProtoSchema, { key: SEGMENT_KEY, value: segment }))
}

function fill(tensor: TensorProto, data: Uint8Array | undefined): void {
  tensor.floatData = []
  if (data === undefined) delete tensor.rawData
  else tensor.rawData = data
}
