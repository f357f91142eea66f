// Signed things of any kind, as gossip, the state exchange and stores hold them: which kind, and the bytes as received.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { LIMITS } from './limits.ts'
import type { Hash } from './payload.ts'
import { type Signed, SignedSchema } from './wire_pb.ts'

/** `envelope`, `first` and `second` are signed envelopes, unopened. */
export type SignedRecord =
  | { kind: 'update'; envelope: Uint8Array }
  | { kind: 'membership' | 'revocation' | 'addresses'; envelope: Uint8Array }
  | { kind: 'evidence'; first: Uint8Array; second: Uint8Array }

export function signedMessage(record: SignedRecord): Signed {
  if (record.kind === 'evidence') {
    const { first, second } = record
    return create(SignedSchema, { body: { case: 'evidence', value: { first, second } } })
  }
  return create(SignedSchema, { body: { case: record.kind, value: record.envelope } })
}

export const encodeSigned = (record: SignedRecord): Uint8Array => toBinary(SignedSchema, signedMessage(record))

/** The record in a message; undefined for a kind that a newer version has, and for envelopes above their limit. */
export function recordIn({ body }: Signed): SignedRecord | undefined {
  if (body.case === undefined) return undefined
  if (body.case === 'evidence') {
    const { first, second } = body.value
    return isShort(first) && isShort(second) ? { kind: 'evidence', first: first.slice(), second: second.slice() } : undefined
  }
  // Copies: what is kept must not hold on to the whole page it came in.
  return isShort(body.value) ? { kind: body.case, envelope: body.value.slice() } : undefined
}

const isShort = (envelope: Uint8Array): boolean => envelope.length <= LIMITS.recordBytes

/** As `recordIn`, from bytes; undefined also for bytes that are no such message. */
export function decodeSigned(bytes: Uint8Array): SignedRecord | undefined {
  try {
    return recordIn(fromBinary(SignedSchema, bytes))
  } catch {
    return undefined
  }
}

/** By which two peers find out what one of them lacks: the first bytes of the hash. */
export const digestOf = (record: SignedRecord, hash: Hash): Uint8Array => hash(encodeSigned(record)).subarray(0, LIMITS.digestBytes)
