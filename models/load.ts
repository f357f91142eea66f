// ONNX bytes to a checked graph. What passes here is bounded, self-contained, in order, and made of known operators.
import { MurmurError } from '../protocol/errors.ts'
import type { Layout, Segment } from '../protocol/layout.ts'
import { LIMITS } from '../protocol/limits.ts'
import { bytesOf, describeNode, type Graph, invalid, type TensorType, TYPE, type ValueInfo } from './graph.ts'
import type { GraphProto, ModelProto, TensorProto } from './onnx_pb.ts'
import { decodeGraph, parseModel } from './serialize.ts'
import { isSupported, unsupported } from './supported.ts'

/** Versions of the default operator set that are read: 13 gave most operators the form they still have. */
const OPSETS = { min: 13, max: 21 }
const DEFAULT_DOMAINS: readonly string[] = ['', 'ai.onnx']

/** Key of the initializer's metadata that keeps its segment in a hollow graph. */
export const SEGMENT_KEY = 'murmuration.segment'
const SEGMENT_ORDER: readonly Segment[] = ['shared', 'stats', 'personal']

export interface Model {
  graph: Graph
  /** float32 or integers, [batch, ...one sample]. */
  input: ValueInfo
  /** The first one: what the loss reads. */
  output: ValueInfo
  /** The tensors whose values were taken out (see splitWeights), in the order of the flat vector; empty for a whole model. */
  layout: Layout
}

/**
 * Reads and checks a model, whole or hollow.
 * @param maxBytes default LIMITS.modelBytes, the limit for a hollow graph
 * @throws limit-exceeded, model-invalid, operator-unsupported
 */
export function loadModel(bytes: Uint8Array, maxBytes: number = LIMITS.modelBytes): Model {
  return checkModel(readModel(bytes, maxBytes))
}

export function readModel(bytes: Uint8Array, maxBytes: number = LIMITS.modelBytes): ModelProto {
  if (bytes.length > maxBytes) {
    throw new MurmurError('limit-exceeded', `The ONNX model has ${bytes.length} bytes; at most ${maxBytes} are accepted.`)
  }
  return parseModel(bytes)
}

export function checkModel(proto: ModelProto): Model {
  if (proto.graph === undefined || proto.graph.node.length === 0) throw invalid('The model has no nodes, or it is not an ONNX file.')
  const opset = proto.opsetImport.find(({ domain }) => DEFAULT_DOMAINS.includes(domain))?.version ?? 0n
  if (opset < OPSETS.min || opset > OPSETS.max) {
    throw invalid(`The model uses ONNX operator set ${opset}; export it with one from ${OPSETS.min} to ${OPSETS.max}.`)
  }
  if (proto.functions.length > 0 || proto.trainingInfo.length > 0 || (proto.graph?.sparseInitializer.length ?? 0) > 0) {
    throw invalid('The model has functions, training information or sparse tensors; export a plain inference model.')
  }
  checkNames(proto.graph)
  checkOperators(proto.graph)
  const graph = decodeGraph(proto.graph)
  checkOrder(graph, () => false)
  return { graph, ...ports(graph), layout: hollowLayout(graph, segmentsOf(proto)) }
}

/** Names are shown to people, and the compilers' own ones begin with NUL: none may hold control characters. */
function checkNames({ node: nodes, initializer, input, output }: GraphProto): void {
  const check = (name: string): void => {
    if (/\p{C}/u.test(name)) throw invalid(`The model names something "${name}", with control characters; rename it.`)
  }
  for (const { name } of [...initializer, ...input, ...output]) check(name)
  for (const { type } of [...input, ...output]) {
    const dims = type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : []
    for (const { value } of dims) if (value.case === 'dimParam') check(value.value)
  }
  for (const node of nodes) {
    for (const name of [node.name, ...node.input, ...node.output]) check(name)
    for (const { name, g } of node.attribute) {
      check(name)
      if (g !== undefined) checkNames(g)
    }
  }
}

/** All operators are known ones, also in the branches of an If. */
function checkOperators({ node: nodes }: GraphProto): void {
  for (const node of nodes) {
    if (!DEFAULT_DOMAINS.includes(node.domain)) {
      throw invalid(`The model uses ${node.opType} of the domain "${node.domain}"; only standard ONNX operators are supported.`)
    }
    if (!isSupported(node.opType)) throw unsupported({ op: node.opType, name: node.name })
    for (const { g } of node.attribute) if (g !== undefined) checkOperators(g)
  }
}

/**
 * Every value is made once, before it is used: so there are no cycles, and the nodes can be walked in order.
 * @param isOuter whether a value is one of the graphs around it
 */
function checkOrder(graph: Graph, isOuter: (name: string) => boolean): void {
  const made = new Set([...graph.inputs.map(({ name }) => name), ...graph.constants.keys()])
  const isKnown = (name: string) => made.has(name) || isOuter(name)
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      if (input !== '' && !isKnown(input)) throw invalid(`${describeNode(node)} uses "${input}" before any node makes it.`)
    }
    for (const attribute of Object.values(node.attributes)) if ('graph' in attribute) checkOrder(attribute.graph, isKnown)
    for (const output of node.outputs) {
      if (output === '') continue
      if (isKnown(output)) throw invalid(`${describeNode(node)} makes "${output}", which exists already.`)
      made.add(output)
    }
  }
  for (const { name } of graph.outputs) if (!isKnown(name)) throw invalid(`No node makes the output "${name}".`)
}

/** Types that a model may take: numbers, or whole numbers such as token ids. */
const INPUT_TYPES: readonly TensorType[] = [TYPE.float32, TYPE.int64, TYPE.int32]

function ports({ inputs, outputs }: Graph): { input: ValueInfo; output: ValueInfo } {
  const [input, ...others] = inputs
  const [output] = outputs
  if (input === undefined || output === undefined || others.length > 0) {
    const names = inputs.map(({ name }) => `"${name}"`).join(', ')
    throw invalid(
      `The model has ${inputs.length} inputs (${names}) and ${outputs.length} outputs; one input is supported: put several into one tensor and slice it in the model.`,
    )
  }
  if (!INPUT_TYPES.includes(input.type)) throw invalid(`The model's input "${input.name}" is neither float32 nor int64; export it so.`)
  if (
    input.dims.length < 1 ||
    input.dims.length > LIMITS.tensorRank ||
    input.dims.slice(1).some((dim) => typeof dim === 'number' && dim < 1)
  ) {
    throw invalid(`The model's input "${input.name}" has the shape [${input.dims.join(', ')}]; it needs a first dimension, the batch.`)
  }
  const sample = bytesOf(
    input.type,
    input.dims.slice(1).map((dim) => (typeof dim === 'number' ? dim : 1)),
  )
  if (sample > LIMITS.payloadBytes) {
    throw new MurmurError(
      'limit-exceeded',
      `One sample of the model's input "${input.name}" has ${sample} bytes; at most ${LIMITS.payloadBytes} are accepted.`,
    )
  }
  return { input, output }
}

/** The segment that an initializer is marked with; what is not marked is shared. */
export function segmentOf({ metadataProps }: TensorProto): Segment | undefined {
  const value = metadataProps.find(({ key }) => key === SEGMENT_KEY)?.value
  return SEGMENT_ORDER.find((segment) => segment === value)
}

function segmentsOf(proto: ModelProto): Map<string, Segment> {
  return new Map(
    proto.graph?.initializer.flatMap((tensor) => {
      const segment = segmentOf(tensor)
      return segment === undefined ? [] : [[tensor.name, segment] as const]
    }),
  )
}

function hollowLayout(graph: Graph, segments: ReadonlyMap<string, Segment>): Layout {
  const tensors = [...graph.constants].filter(([, tensor]) => tensor.data === undefined)
  for (const [name, { type, dims }] of tensors) {
    if (type !== TYPE.float32 || dims.includes(0)) throw invalid(`Tensor "${name}" of the model is without data.`)
  }
  return layoutOf(tensors.map(([name, { dims }]) => ({ name, shape: [...dims], segment: segments.get(name) ?? 'shared' })))
}

/** Orders tensors by segment, as given within one, and counts their offsets. @throws limit-exceeded */
export function layoutOf(tensors: readonly { name: string; shape: number[]; segment: Segment }[]): Layout {
  const tooLong = tensors.find(({ name }) => name.length > LIMITS.nameLength)
  if (tensors.length > LIMITS.layoutTensors || tooLong !== undefined) {
    throw new MurmurError(
      'limit-exceeded',
      tooLong === undefined
        ? `The model has ${tensors.length} trainable tensors; at most ${LIMITS.layoutTensors} are accepted.`
        : `The tensor name "${tooLong.name.slice(0, 32)}..." has ${tooLong.name.length} characters; at most ${LIMITS.nameLength} are accepted.`,
    )
  }
  let offset = 0
  const layout = SEGMENT_ORDER.flatMap((segment) => tensors.filter((tensor) => tensor.segment === segment)).map((tensor) => {
    const entry = { name: tensor.name, shape: tensor.shape, offset, segment: tensor.segment }
    offset += tensor.shape.reduce((product, dim) => product * dim, 1)
    return entry
  })
  if (offset * 4 > LIMITS.payloadBytes) {
    throw new MurmurError('limit-exceeded', `The model has ${offset} parameters; at most ${LIMITS.payloadBytes / 4} are accepted.`)
  }
  return layout
}
