// Signed envelopes, byte for byte those of libp2p (RFC 0002), so that any libp2p implementation can open ours.
// Signing and verifying are passed in: `node:crypto` with cached keys is several times faster than a portable library.
import { concat } from 'uint8arrays/concat'
import { equals } from 'uint8arrays/equals'
import { isEd25519PublicKey, type PeerId, peerIdOf } from './identity.ts'
import { readVarint, varint } from './varint.ts'

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
const NONE = new Uint8Array()

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

/** The tags of the fields, in order: numbers 1, 2, 3 and 5, all bytes. */
const TAGS = { publicKey: 0x0a, payloadType: 0x12, payload: 0x1a, signature: 0x2a }
const FIELDS = Object.keys(TAGS) as (keyof Fields)[]

/** The one encoding of an envelope: its fields in order, those that are empty left out. */
const encode = (fields: Fields): Uint8Array =>
  concat(FIELDS.flatMap((field) => (fields[field].length === 0 ? [] : [Uint8Array.of(TAGS[field]), ...prefixed(fields[field])])))

/**
 * What `encode` made, and nothing else that protobuf would read the same: else anyone could make ever new messages of one record, and
 * everyone would verify each. Undefined for any other bytes.
 */
function decode(bytes: Uint8Array): Fields | undefined {
  const fields: Fields = { publicKey: NONE, payloadType: NONE, payload: NONE, signature: NONE }
  let at = 0
  for (const field of FIELDS) {
    if (bytes[at] !== TAGS[field]) continue
    const length = readVarint(bytes, at + 1)
    if (length === undefined || length.value === 0 || length.value > bytes.length - length.end) return undefined
    at = length.end + length.value
    fields[field] = bytes.subarray(length.end, at)
  }
  return at === bytes.length ? fields : undefined
}

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
  const envelope = decode(bytes)
  if (envelope === undefined || !equals(envelope.payloadType, payloadTypeOf(domain))) return 'malformed'
  const { publicKey, payload, signature } = envelope
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
