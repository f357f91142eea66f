// What all vectors are made with: keys from names, bytes as hex, and messages that our own encoder would never write.
import { createHash } from 'node:crypto'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { type Domain, sealEnvelope } from '../../protocol/envelope.ts'
import { hexOf } from '../../protocol/task.ts'
import { sha256, signerOf } from '../../test/helpers/keys.ts'

export { hexOf, sha256, signerOf }

/** A file of vectors. Each case says why it is there; `refused` is a code of rejections.ts or errors.ts. */
export interface VectorFile {
  about: string
  cases: ({ why: string } & Record<string, unknown>)[]
}

export const NAMES = ['alice', 'bob', 'carol', 'founder', 'admin', 'invite', 'mallory'] as const

export const seedOf = (name: string): string => createHash('sha256').update(name).digest('hex')
export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

export function flipped(bytes: Uint8Array, index: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  changed[index < 0 ? bytes.length + index : index]! ^= 1
  return changed
}

export const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]))

/** One length-delimited, or one varint, field of a protobuf message. */
export const bytesField = (field: number, bytes: Uint8Array): Uint8Array =>
  new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(bytes).finish()
export const varintField = (field: number, value: number | bigint): Uint8Array =>
  new BinaryWriter().tag(field, WireType.Varint).uint64(BigInt(value)).finish()

/** An envelope of any payload, signed by the key of a name. */
export const sealed = (domain: Domain, payload: Uint8Array, name: string): Uint8Array => sealEnvelope(domain, payload, signerOf(name))
/** The same with a signature of zeros. */
export const unsigned = (domain: Domain, payload: Uint8Array, name: string): Uint8Array =>
  sealEnvelope(domain, payload, { publicKey: signerOf(name).publicKey, sign: () => new Uint8Array(64) })
