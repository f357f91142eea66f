// Payloads: encoded models that travel apart from the records that announce them, checked chunk by chunk.
import { MurmurError } from './errors.ts'
import { LIMITS } from './limits.ts'

/** What a record says of a payload. `hash` is the root: SHA-256 over the SHA-256 of each 256 KiB chunk, in order. */
export interface PayloadRef {
  hash: Uint8Array
  length: number
  codec: string
}

/** SHA-256, passed in so that this folder runs anywhere. */
export type Hash = (bytes: Uint8Array) => Uint8Array

export const HASH_BYTES = 32

export const chunkCount = (length: number): number => Math.max(1, Math.ceil(length / LIMITS.chunkBytes))

/** The hash list of a payload: 32 bytes a chunk. */
export function hashList(payload: Uint8Array, hash: Hash): Uint8Array {
  const list = new Uint8Array(chunkCount(payload.length) * HASH_BYTES)
  for (let i = 0; i * HASH_BYTES < list.length; i++) list.set(hash(chunkOf(payload, i)), i * HASH_BYTES)
  return list
}

export const payloadRoot = (payload: Uint8Array, hash: Hash): Uint8Array => hash(hashList(payload, hash))

export function chunkOf(payload: Uint8Array, index: number): Uint8Array {
  if (!Number.isInteger(index) || index < 0 || index >= chunkCount(payload.length)) {
    throw new MurmurError(
      'bad-argument',
      `chunk ${index} does not exist: the payload of ${payload.length} bytes has ${chunkCount(payload.length)}`,
    )
  }
  return payload.subarray(index * LIMITS.chunkBytes, (index + 1) * LIMITS.chunkBytes)
}
