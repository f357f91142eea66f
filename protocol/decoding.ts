// Reading a stranger's protobuf message: nothing is made of what it is not bounded in.
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf'
import { BinaryReader } from '@bufbuild/protobuf/wire'

/**
 * The message in `bytes`, which the caller has bounded, with at most `most` fields and elements: empty elements of two bytes each would become
 * hundreds of thousands of objects. Fields that a newer version has added are dropped. Undefined for anything else.
 */
export function decodeBounded<D extends DescMessage>(schema: D, bytes: Uint8Array, most: number): MessageShape<D> | undefined {
  try {
    return countFields(bytes) > most ? undefined : fromBinary(schema, bytes, { readUnknownFields: false })
  } catch {
    return undefined
  }
}

/** @throws where the bytes are no message */
function countFields(bytes: Uint8Array): number {
  const reader = new BinaryReader(bytes)
  let count = 0
  for (; reader.pos < reader.len; count++) {
    const [, type] = reader.tag()
    reader.skip(type)
  }
  return count
}
