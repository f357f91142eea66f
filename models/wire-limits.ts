// Bounds an ONNX file before it is parsed: two bytes of protobuf can cost hundreds of bytes of objects, so a small file
// could fill the memory. This walks the wire format once, allocating nothing, and counts what parsing would create.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { MurmurError } from '../protocol/errors.ts'
import { invalid } from './graph.ts'

/** Fields and packed integers in one model file: a GPT of some thousand nodes has about a hundred thousand. */
export const MODEL_FIELDS = 1_000_000
/** Nesting of messages: a graph in an attribute of a node in a graph is 6 deep. */
const DEPTH = 12

/** Message fields of each message, by field number; `ints` are fields whose packed varints each become an object. */
type Message = { messages: Record<number, () => Message>; ints?: readonly number[] }

const leaf = (): Message => ({ messages: {} })
const tensor = (): Message => TENSOR
const TENSOR: Message = { messages: { 13: leaf, 16: leaf }, ints: [1, 5, 7, 11] }
const SHAPE: Message = { messages: { 1: leaf } }
const TENSOR_TYPE: Message = { messages: { 2: () => SHAPE } }
const TYPE_PROTO: Message = { messages: { 1: () => TENSOR_TYPE } }
const VALUE: Message = { messages: { 2: () => TYPE_PROTO, 4: leaf } }
const ATTRIBUTE: Message = { messages: { 5: tensor, 6: () => GRAPH }, ints: [8] }
const NODE: Message = { messages: { 5: () => ATTRIBUTE, 9: leaf } }
const GRAPH: Message = { messages: { 1: () => NODE, 5: tensor, 11: () => VALUE, 12: () => VALUE, 13: () => VALUE, 16: leaf } }
const MODEL: Message = { messages: { 7: () => GRAPH, 8: leaf, 14: leaf } }

/** @throws limit-exceeded if parsing would create too many objects, model-invalid if the bytes are no protobuf */
export function checkWire(bytes: Uint8Array): void {
  const reader = new BinaryReader(bytes)
  let fields = 0
  const spend = (count: number): void => {
    fields += count
    if (fields > MODEL_FIELDS) {
      throw new MurmurError('limit-exceeded', `The ONNX model has more than ${MODEL_FIELDS} fields; use a smaller model.`)
    }
  }
  const walk = (message: Message, end: number, depth: number): void => {
    if (depth > DEPTH) throw new MurmurError('limit-exceeded', `The ONNX model nests graphs more than ${DEPTH} messages deep.`)
    while (reader.pos < end) {
      const [field, wireType] = reader.tag()
      spend(1)
      if (wireType !== WireType.LengthDelimited) {
        reader.skip(wireType, field)
        continue
      }
      const fieldEnd = reader.uint32() + reader.pos
      if (fieldEnd > end) throw invalid('The ONNX model is cut off or damaged; export or copy it again.')
      const inner = message.messages[field]
      if (inner !== undefined) {
        walk(inner(), fieldEnd, depth + 1)
      } else if (message.ints?.includes(field)) {
        let count = 0
        for (let i = reader.pos; i < fieldEnd; i++) if (bytes[i]! < 0x80) count++
        spend(count)
      }
      reader.pos = fieldEnd
    }
  }
  try {
    walk(MODEL, bytes.length, 0)
  } catch (error) {
    if (error instanceof MurmurError) throw error
    throw invalid('The model is not an ONNX file, or it is damaged; export it again.', error)
  }
}
