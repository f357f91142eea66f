// Vectors of keys and signed envelopes.
import { create, toBinary } from '@bufbuild/protobuf'
import type { Domain } from '../../protocol/envelope.ts'
import { EnvelopeSchema } from '../../protocol/wire_pb.ts'
import { bytesField, flipped, hexOf, joined, NAMES, sealed, seedOf, signerOf, unsigned, utf8, type VectorFile, varintField } from './kit.ts'

export const keys = (): VectorFile => ({
  about:
    'Ed25519 keys that all vectors use. The seed is the SHA-256 of the name; publicKey is its libp2p protobuf, peer the id made of that. Test keys: everyone knows them.',
  cases: NAMES.map((name) => {
    const { peerId, publicKey } = signerOf(name)
    return { why: `the key of ${name}`, name, seed: seedOf(name), publicKey: hexOf(publicKey), peer: peerId }
  }),
})

const DOMAIN: Domain = 'murmuration-update'
const payload = utf8('what is signed')

/** What a signature covers, written out by hand: each field after its length, which here is below 128. */
const signedText = (domain: string, bytes: Uint8Array): Uint8Array =>
  joined(...[utf8(domain), utf8(`/${domain}/1`), bytes].flatMap((part) => [varint(part.length), part]))

const varint = (value: number): Uint8Array => (value < 128 ? Uint8Array.of(value) : Uint8Array.of((value & 127) | 128, value >> 7))

/** An envelope with some fields replaced, encoded as usual. */
function withFields(change: { publicKey?: Uint8Array; payloadType?: Uint8Array; signature?: Uint8Array }): Uint8Array {
  const { publicKey, sign } = signerOf('alice')
  const signature = sign(signedText(DOMAIN, payload))
  const fields = { publicKey, payloadType: utf8(`/${DOMAIN}/1`), payload, signature, ...change }
  return toBinary(EnvelopeSchema, create(EnvelopeSchema, fields))
}

/** Order of Ed25519's group: RFC 8032, section 5.1. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

/** A second signature of the same text, which RFC 8032 (section 5.1.7) forbids: with it one record would have two encodings. */
function malleated(envelope: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(envelope)
  const s = changed.subarray(-32)
  let sum = s.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n) + ORDER
  for (let i = 0; i < s.length; i++, sum >>= 8n) s[i] = Number(sum & 255n)
  return changed
}

export function envelopes(): VectorFile {
  const { publicKey, peerId, sign } = signerOf('alice')
  const good = sealed(DOMAIN, payload, 'alice')
  const long = Uint8Array.from({ length: 200 }, (_, i) => i)
  const valid = (why: string, bytes: Uint8Array) => ({
    why,
    domain: DOMAIN,
    envelope: hexOf(sealed(DOMAIN, bytes, 'alice')),
    gives: { author: peerId, payload: hexOf(bytes), signedText: hexOf(signedText(DOMAIN, bytes)) },
  })
  const refused = (why: string, envelope: Uint8Array, code: string, domain: Domain = DOMAIN) => ({
    why,
    domain,
    envelope: hexOf(envelope),
    refused: code,
  })
  const key = bytesField(1, publicKey)
  const type = bytesField(2, utf8(`/${DOMAIN}/1`))
  const body = bytesField(3, payload)
  const signature = bytesField(5, sign(signedText(DOMAIN, payload)))
  return {
    about: 'Signed envelopes of libp2p (RFC 0002): domain and bytes in; author, payload and the text that the signature covers out.',
    cases: [
      valid('a payload whose length is a varint of one byte', payload),
      valid('a payload whose length is a varint of two bytes', long),
      valid('an empty payload: its field is absent from the envelope', new Uint8Array()),
      refused('opened for another domain: the payload type differs', good, 'malformed', 'murmuration-task'),
      refused(
        'signed for another domain, which the payload type hides',
        withFields({ signature: sign(signedText('murmuration-task', payload)) }),
        'bad-signature',
      ),
      refused('a payload type of a later version', withFields({ payloadType: utf8(`/${DOMAIN}/2`) }), 'malformed'),
      refused('the last bit of the signature differs', flipped(good, -1), 'bad-signature'),
      refused('the same signature with the order of the group added to its S', malleated(good), 'bad-signature'),
      refused('a signature of zeros', unsigned(DOMAIN, payload, 'alice'), 'bad-signature'),
      refused('a signature of 63 bytes', withFields({ signature: new Uint8Array(63) }), 'bad-signature'),
      refused("another key's signature", withFields({ publicKey: signerOf('bob').publicKey }), 'bad-signature'),
      refused(
        'a key of another kind: secp256k1',
        withFields({ publicKey: joined(Uint8Array.of(8, 2, 18, 33), new Uint8Array(33)) }),
        'bad-signature',
      ),
      refused('no key', withFields({ publicKey: new Uint8Array() }), 'bad-signature'),
      refused('fields in another order: one encoding only', joined(type, key, body, signature), 'malformed'),
      refused('an unknown field: one encoding only', joined(good, varintField(9, 1)), 'malformed'),
      refused('a field twice: one encoding only', joined(key, type, body, body, signature), 'malformed'),
      refused(
        'a length as a longer varint than it needs: one encoding only',
        joined(key, type, Uint8Array.of(0x1a, 0x80 | payload.length, 0), payload, signature),
        'malformed',
      ),
      refused('cut off', good.subarray(0, -1), 'malformed'),
      refused('nothing', new Uint8Array(), 'malformed'),
    ],
  }
}
