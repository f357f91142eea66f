// What checks of vectors are made with: bytes as hex, and verifying by node:crypto alone.
import { createHash, createPublicKey, verify } from 'node:crypto'
import type { Test } from 'tap'

/** A case as JSON has it: another implementation sees no more. */
export type Case = ReturnType<JSON['parse']>
export type Check = (t: Test, one: Case) => void | Promise<void>

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
export const sha256 = (data: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(data).digest())

const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
/** Of the libp2p protobuf of a key only the last 32 bytes are the key. */
export const verifier = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
  const key = createPublicKey({ key: Buffer.concat([SPKI, publicKey.subarray(-32)]), format: 'der', type: 'spki' })
  return verify(null, message, key, signature)
}

/** An object as JSON would have it: bytes as hex, and nothing undefined. */
export const inHex = (object: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(object).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value instanceof Uint8Array ? hex(value) : value]],
    ),
  )
