// Signed envelopes, byte for byte those of libp2p (RFC 0002), so that any libp2p implementation can open ours.
// Signing and verifying are passed in: `node:crypto` with cached keys is several times faster than a portable library.
import { fromBinary } from '@bufbuild/protobuf'
import { concat } from 'uint8arrays/concat'
import { equals } from 'uint8arrays/equals'
import { isEd25519PublicKey, type PeerId, peerIdOf } from './identity.ts'
import { varint } from './varint.ts'
import { EnvelopeSchema } from './wire_pb.ts'

const DOMAINS = [
  'murmuration-task',
  'murmuration-update',
  'murmuration-membership',
  'murmuration-revocation',
  'murmuration-invite',
  'murmuration-redemption',
  'murmuration-addresses',
] as const

/** One domain a type of record: a signature made for one can never pass for another. */
export type Domain = (typeof DOMAINS)[number]

export type Sign = (message: Uint8Array) => Uint8Array

/** `publicKey` is the libp2p protobuf encoding of an Ed25519 key. */
export type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean

/** What there is to verify: public key, signed text and signature. */
export type Proof = Parameters<Verify>

const utf8 = new TextEncoder()

/** A field as it is signed and sent: its length as a varint, then its bytes. */
const prefixed = (bytes: Uint8Array): Uint8Array[] => [Uint8Array.from(varint(bytes.length)), bytes]

/** By domain: the payload type, and what is signed before the payload. */
const TYPES = new Map(
  DOMAINS.map((domain) => {
    const payloadType = utf8.encode(`/${domain}/1`)
    return [domain, { payloadType, before: concat([utf8.encode(domain), payloadType].flatMap(prefixed)) }] as const
  }),
)

const payloadTypeOf = (domain: Domain): Uint8Array => TYPES.get(domain)!.payloadType

const signedText = (domain: Domain, payload: Uint8Array): Uint8Array => concat([TYPES.get(domain)!.before, ...prefixed(payload)])

type Fields = { publicKey: Uint8Array; payloadType: Uint8Array; payload: Uint8Array; signature: Uint8Array }

/** The one encoding of an envelope: its fields in order (numbers 1, 2, 3 and 5, all bytes), those that are empty left out. */
const encode = ({ publicKey, payloadType, payload, signature }: Fields): Uint8Array =>
  concat(
    [publicKey, payloadType, payload, new Uint8Array(), signature].flatMap((bytes, i) =>
      bytes.length === 0 ? [] : [Uint8Array.of(((i + 1) << 3) | 2), ...prefixed(bytes)],
    ),
  )

export function sealEnvelope(domain: Domain, payload: Uint8Array, signer: { publicKey: Uint8Array; sign: Sign }): Uint8Array {
  const signature = signer.sign(signedText(domain, payload))
  return encode({ publicKey: signer.publicKey, payloadType: payloadTypeOf(domain), payload, signature })
}

export interface OpenedEnvelope {
  author: PeerId
  /** The signed bytes: what is hashed, compared and parsed. */
  payload: Uint8Array
}

/** An envelope as it reads. Until the proof is checked, the author is only said to be its author. */
export interface EnvelopeClaim extends OpenedEnvelope {
  proof: Proof
}

/** Reads an envelope, but for its signature: what costs most, and may not be needed. The caller has bounded `bytes`. */
export function readEnvelope(bytes: Uint8Array, domain: Domain): EnvelopeClaim | 'malformed' | 'bad-signature' {
  let envelope: Fields
  try {
    envelope = fromBinary(EnvelopeSchema, bytes)
  } catch {
    return 'malformed'
  }
  const { publicKey, payload, signature } = envelope
  // One encoding only: else anyone could make ever new messages of one record, and everyone would verify each.
  if (!equals(encode(envelope), bytes)) return 'malformed'
  if (!equals(envelope.payloadType, payloadTypeOf(domain))) return 'malformed'
  if (!isEd25519PublicKey(publicKey) || signature.length !== 64) return 'bad-signature'
  return { author: peerIdOf(publicKey), payload, proof: [publicKey, signedText(domain, payload), signature] }
}

/** The author and payload of an envelope, or why it is not to be believed. The caller has bounded `bytes`. */
export function openEnvelope(bytes: Uint8Array, domain: Domain, verify: Verify): OpenedEnvelope | 'malformed' | 'bad-signature' {
  const claim = readEnvelope(bytes, domain)
  if (typeof claim === 'string') return claim
  const { author, payload, proof } = claim
  return verify(...proof) ? { author, payload } : 'bad-signature'
}
