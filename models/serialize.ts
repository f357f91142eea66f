// Between ONNX bytes (protobuf) and this folder's plain graphs.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { LIMITS } from '../protocol/limits.ts'
import {
  type Attribute,
  bytesOf,
  type Graph,
  invalid,
  isTensorType,
  type Node,
  type Tensor,
  TYPE,
  toInt64,
  type ValueInfo,
} from './graph.ts'
import {
  type AttributeProto,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './onnx_pb.ts'
import { checkWire } from './wire-limits.ts'

/** The operator set and IR version of every graph that is written here. */
export const OPSET = 21
const IR_VERSION = 10n

/** @throws limit-exceeded, model-invalid */
export function parseModel(bytes: Uint8Array): ModelProto {
  checkWire(bytes)
  try {
    // A plain array, also of a Buffer: whose slices are views, where all others' are copies.
    return fromBinary(ModelProtoSchema, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length))
  } catch (cause) {
    throw invalid('The model is not an ONNX file, or it is damaged; export it again.', cause)
  }
}

export const writeModel = (model: ModelProto): Uint8Array => toBinary(ModelProtoSchema, model)

const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8 } as const

export function decodeGraph(proto: GraphProto): Graph {
  const constants = new Map<string, Tensor>()
  for (const tensor of proto.initializer) {
    if (tensor.name === '' || constants.has(tensor.name)) throw invalid(`The model names two initializers "${tensor.name}".`)
    constants.set(tensor.name, decodeTensor(tensor))
  }
  return {
    name: proto.name,
    // IR version 3 and older listed initializers among the inputs as well.
    inputs: proto.input.filter((input) => !constants.has(input.name)).map(decodeValue),
    outputs: proto.output.map(decodeValue),
    nodes: proto.node.map(decodeNode),
    constants,
  }
}

function decodeNode(proto: NodeProto): Node {
  const attributes: Record<string, Attribute> = Object.create(null)
  for (const attribute of proto.attribute) attributes[attribute.name] = decodeAttribute(attribute, proto)
  return { op: proto.opType, name: proto.name, inputs: proto.input, outputs: proto.output, attributes }
}

function decodeAttribute(proto: AttributeProto, node: NodeProto): Attribute {
  switch (proto.type) {
    case ATTRIBUTE_TYPE.float:
      return { float: proto.f ?? 0 }
    case ATTRIBUTE_TYPE.int:
      return { int: Number(proto.i ?? 0n) }
    case ATTRIBUTE_TYPE.string:
      return { string: new TextDecoder().decode(proto.s ?? new Uint8Array()) }
    case ATTRIBUTE_TYPE.ints:
      return { ints: proto.ints.map(Number) }
    case ATTRIBUTE_TYPE.graph:
      if (proto.g !== undefined) return { graph: decodeGraph(proto.g) }
      break
    case ATTRIBUTE_TYPE.floats:
      return { floats: proto.floats }
    case ATTRIBUTE_TYPE.strings:
      return { strings: proto.strings.map((bytes) => new TextDecoder().decode(bytes)) }
    case ATTRIBUTE_TYPE.tensor:
      if (proto.t !== undefined) return { tensor: decodeTensor(proto.t) }
  }
  throw invalid(`Attribute ${proto.name} of ${node.opType} "${node.name}" has a type (${proto.type}) that is not supported.`)
}

/** @throws model-invalid if the data is elsewhere, of another type, or not as long as its shape says */
export function decodeTensor(proto: TensorProto): Tensor {
  const name = `Tensor "${proto.name}" of the model`
  if (proto.dataLocation !== 0 || proto.externalData.length > 0) {
    throw invalid(`${name} keeps its data in another file; export the model as one file.`)
  }
  if (!isTensorType(proto.dataType)) throw invalid(`${name} has data type ${proto.dataType}; export the model as float32.`)
  const type = proto.dataType
  const dims = proto.dims.map(Number)
  if (dims.length > LIMITS.tensorRank || dims.some((dim) => dim < 0) || bytesOf(type, dims) > LIMITS.payloadBytes) {
    throw invalid(`${name} has the shape [${dims.join(', ')}], which is too large.`)
  }
  const data = proto.rawData ?? typedData(proto)
  const expected = bytesOf(type, dims)
  if (data === undefined || (data.length === 0 && expected > 0)) return { type, dims, data: undefined }
  if (data.length !== expected) {
    throw invalid(`${name} has ${data.length} bytes of data where its shape [${dims.join(', ')}] needs ${expected}.`)
  }
  return { type, dims, data }
}

/** The values of a tensor written without raw_data, as raw bytes. */
function typedData(proto: TensorProto): Uint8Array | undefined {
  const typed = (() => {
    switch (proto.dataType) {
      case TYPE.float32:
        return Float32Array.from(proto.floatData)
      case TYPE.float64:
        return Float64Array.from(proto.doubleData)
      case TYPE.int64:
        return BigInt64Array.from(proto.int64Data)
      case TYPE.int32:
        return Int32Array.from(proto.int32Data)
      default:
        return Uint8Array.from(proto.int32Data)
    }
  })()
  return typed.length === 0 ? undefined : new Uint8Array(typed.buffer)
}

function decodeValue(proto: ValueInfoProto): ValueInfo {
  if (proto.type?.value.case !== 'tensorType') throw invalid(`"${proto.name}", an input or output of the model, is not a tensor.`)
  const { elemType, shape } = proto.type.value.value
  if (!isTensorType(elemType)) throw invalid(`"${proto.name}" has data type ${elemType}; export the model as float32.`)
  const dims = (shape?.dim ?? []).map((dim, i) => {
    if (dim.value.case === 'dimValue') return Number(dim.value.value)
    return dim.value.case === 'dimParam' && dim.value.value !== '' ? dim.value.value : `${proto.name}_${i}`
  })
  return { name: proto.name, type: elemType, dims }
}

/** ONNX bytes of a graph, at operator set 21 of the default domain. */
export function encodeModel(graph: Graph): Uint8Array {
  return writeModel(
    create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: 'murmuration',
      opsetImport: [{ domain: '', version: BigInt(OPSET) }],
      graph: encodeGraph(graph),
    }),
  )
}

function encodeGraph(graph: Graph): GraphProto {
  // onnxruntime wants different names; what was decomposed has its origin's.
  const names = new Set<string>()
  const once = (name: string): string => {
    const isNew = !names.has(name)
    names.add(name)
    return isNew ? name : ''
  }
  return create(GraphProtoSchema, {
    name: graph.name,
    input: graph.inputs.map(encodeValue),
    output: graph.outputs.map(encodeValue),
    initializer: [...graph.constants].map(([name, tensor]) => encodeTensor(tensor, name)),
    node: graph.nodes.map((node) =>
      create(NodeProtoSchema, {
        opType: node.op,
        name: once(node.name),
        input: [...node.inputs],
        output: [...node.outputs],
        attribute: Object.entries(node.attributes).map(([name, value]) => encodeAttribute(name, value)),
      }),
    ),
  })
}

export function encodeAttribute(name: string, value: Attribute): AttributeProto {
  const proto = create(AttributeProtoSchema, { name })
  if ('int' in value) Object.assign(proto, { type: ATTRIBUTE_TYPE.int, i: toInt64(value.int) })
  else if ('float' in value) Object.assign(proto, { type: ATTRIBUTE_TYPE.float, f: value.float })
  else if ('string' in value) Object.assign(proto, { type: ATTRIBUTE_TYPE.string, s: new TextEncoder().encode(value.string) })
  else if ('ints' in value) Object.assign(proto, { type: ATTRIBUTE_TYPE.ints, ints: value.ints.map(toInt64) })
  else if ('strings' in value)
    Object.assign(proto, { type: ATTRIBUTE_TYPE.strings, strings: value.strings.map((text) => new TextEncoder().encode(text)) })
  else if ('floats' in value) Object.assign(proto, { type: ATTRIBUTE_TYPE.floats, floats: [...value.floats] })
  else if ('tensor' in value) Object.assign(proto, { type: ATTRIBUTE_TYPE.tensor, t: encodeTensor(value.tensor, '') })
  else Object.assign(proto, { type: ATTRIBUTE_TYPE.graph, g: encodeGraph(value.graph) })
  return proto
}

function encodeTensor(tensor: Tensor, name: string): TensorProto {
  const proto = create(TensorProtoSchema, { name, dataType: tensor.type, dims: tensor.dims.map(BigInt) })
  if (tensor.data !== undefined) proto.rawData = tensor.data
  return proto
}

function encodeValue(value: ValueInfo): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name: value.name,
    type: {
      value: {
        case: 'tensorType',
        value: {
          elemType: value.type,
          shape: {
            dim: value.dims.map((dim) =>
              typeof dim === 'number'
                ? { value: { case: 'dimValue' as const, value: BigInt(dim) } }
                : { value: { case: 'dimParam' as const, value: dim } },
            ),
          },
        },
      },
    },
  })
}
