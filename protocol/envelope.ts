// Signed envelopes, byte for byte those of libp2p (RFC 0002), so that any libp2p implementation can open ours.
// Signing and verifying are passed in: `node:crypto` with cached keys is several times faster than a portable library.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { concat } from 'uint8arrays/concat'
import { equals } from 'uint8arrays/equals'
import { isEd25519PublicKey, type PeerId, peerIdOf } from './identity.ts'
import { EnvelopeSchema } from './wire_pb.ts'

/** One domain a type of record: a signature made for one can never pass for another. */
export type Domain =
  | 'murmuration-task'
  | 'murmuration-update'
  | 'murmuration-membership'
  | 'murmuration-revocation'
  | 'murmuration-invite'
  | 'murmuration-redemption'
  | 'murmuration-addresses'

export type Sign = (message: Uint8Array) => Uint8Array

/** `publicKey` is the libp2p protobuf encoding of an Ed25519 key. */
export type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean

const utf8 = new TextEncoder()

const payloadType = (domain: Domain): Uint8Array => utf8.encode(`/${domain}/1`)

/** A field of the signed text: its length as a varint, then its bytes. */
function prefixed(bytes: Uint8Array): Uint8Array {
  const varint: number[] = []
  let rest = bytes.length
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) varint.push((rest & 0x7f) | 0x80)
  varint.push(rest)
  return concat([Uint8Array.from(varint), bytes])
}

const signedText = (domain: Domain, payload: Uint8Array): Uint8Array =>
  concat([prefixed(utf8.encode(domain)), prefixed(payloadType(domain)), prefixed(payload)])

export function sealEnvelope(domain: Domain, payload: Uint8Array, signer: { publicKey: Uint8Array; sign: Sign }): Uint8Array {
  return toBinary(
    EnvelopeSchema,
    create(EnvelopeSchema, {
      publicKey: signer.publicKey,
      payloadType: payloadType(domain),
      payload,
      signature: signer.sign(signedText(domain, payload)),
    }),
  )
}

type Fields = { publicKey: Uint8Array; payloadType: Uint8Array; payload: Uint8Array; signature: Uint8Array }

const fieldsOf = ({ publicKey, payloadType, payload, signature }: Fields): Fields => ({ publicKey, payloadType, payload, signature })

export interface OpenedEnvelope {
  author: PeerId
  /** The signed bytes: what is hashed, compared and parsed. */
  payload: Uint8Array
}

/** The author and payload of an envelope, or why it is not to be believed. The caller has bounded `bytes`. */
export function openEnvelope(bytes: Uint8Array, domain: Domain, verify: Verify): OpenedEnvelope | 'malformed' | 'bad-signature' {
  let envelope: Fields
  try {
    envelope = fromBinary(EnvelopeSchema, bytes)
  } catch {
    return 'malformed'
  }
  const { publicKey, payload, signature } = envelope
  // One encoding only: else anyone could make ever new messages of one record, and everyone would verify each.
  if (!equals(toBinary(EnvelopeSchema, create(EnvelopeSchema, fieldsOf(envelope))), bytes)) return 'malformed'
  if (!equals(envelope.payloadType, payloadType(domain))) return 'malformed'
  if (!isEd25519PublicKey(publicKey) || signature.length !== 64) return 'bad-signature'
  return verify(publicKey, signedText(domain, payload), signature) ? { author: peerIdOf(publicKey), payload } : 'bad-signature'
}
