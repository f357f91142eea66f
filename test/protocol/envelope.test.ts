import { createHash } from 'node:crypto'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Record as Libp2pRecord, PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { RecordEnvelope } from '@libp2p/peer-record'
import fc from 'fast-check'
import t from 'tap'
import { openEnvelope, readEnvelope, sealEnvelope } from '../../protocol/envelope.ts'
import { EnvelopeSchema } from '../../protocol/wire_pb.ts'
import { hostile } from '../helpers/hostile-bytes.ts'
import { signerOf, verifier } from '../helpers/keys.ts'

const payload = Uint8Array.from({ length: 200 }, (_, i) => i)
const alice = signerOf('alice')

t.test('an envelope opens to its author and payload', async (t) => {
  const opened = openEnvelope(sealEnvelope('murmuration-update', payload, alice), 'murmuration-update', verifier)
  t.match(opened, { author: alice.peerId })
  t.same(typeof opened === 'object' && [...opened.payload], [...payload])
})

t.test("libp2p's own implementation opens our envelopes, and we open libp2p's", async (t) => {
  const privateKey = await generateKeyPairFromSeed('Ed25519', createHash('sha256').update('alice').digest())
  const peerId: PeerId = peerIdFromPrivateKey(privateKey)
  t.equal(peerId.toString(), alice.peerId, 'the same key has the same peer id')
  const ours = sealEnvelope('murmuration-update', payload, alice)
  const opened = await RecordEnvelope.openAndCertify(ours, 'murmuration-update')
  t.same([...opened.payload], [...payload])
  t.ok(opened.publicKey.equals(privateKey.publicKey))

  const record: Libp2pRecord = {
    domain: 'murmuration-update',
    codec: new TextEncoder().encode('/murmuration-update/1'),
    marshal: () => payload,
    equals: () => false,
  }
  const theirs = (await RecordEnvelope.seal(record, privateKey)).marshal()
  t.match(openEnvelope(theirs, 'murmuration-update', verifier), { author: alice.peerId })
  t.same([...theirs], [...ours], 'byte for byte')
})

t.test('no changed byte yields another author or payload; another domain and unsigned bytes are refused', async (t) => {
  const sealed = sealEnvelope('murmuration-update', payload, alice)
  for (let i = 0; i < sealed.length; i += 7) {
    const changed = Uint8Array.from(sealed)
    changed[i]! ^= 1
    const opened = openEnvelope(changed, 'murmuration-update', verifier)
    // Protobuf has several encodings of one message: an envelope that opens at all opens to the same.
    if (typeof opened === 'object') t.match(opened, { author: alice.peerId, payload }, `byte ${i}`)
    else t.ok(opened === 'malformed' || opened === 'bad-signature', `byte ${i}`)
  }
  t.equal(openEnvelope(sealed, 'murmuration-task', verifier), 'malformed')
  t.equal(openEnvelope(new Uint8Array(), 'murmuration-update', verifier), 'malformed')
  t.equal(openEnvelope(new TextEncoder().encode('hello'), 'murmuration-update', verifier), 'malformed')
  const unsigned = sealEnvelope('murmuration-update', payload, { ...alice, sign: () => new Uint8Array(64) })
  t.equal(openEnvelope(unsigned, 'murmuration-update', verifier), 'bad-signature')
})

t.test('an envelope reads where its bytes are those that protobuf makes of what it reads there, and nowhere else', async (t) => {
  const sealed = sealEnvelope('murmuration-update', payload, alice)
  const envelope = fromBinary(EnvelopeSchema, sealed)
  const valid = [envelope, { ...envelope, payload: new Uint8Array() }, { ...envelope, publicKey: new Uint8Array() }].map((fields) =>
    toBinary(EnvelopeSchema, create(EnvelopeSchema, fields)),
  )
  const isOwn = (bytes: Uint8Array) => {
    try {
      const again = fromBinary(EnvelopeSchema, bytes)
      // Unknown fields would be written again.
      delete again.$unknown
      return (
        Buffer.from(again.payloadType).toString() === '/murmuration-update/1' && Buffer.from(toBinary(EnvelopeSchema, again)).equals(bytes)
      )
    } catch {
      return false
    }
  }
  const reads = (bytes: Uint8Array) => readEnvelope(bytes, 'murmuration-update') !== 'malformed'
  t.ok(valid.every((bytes) => reads(bytes) && isOwn(bytes)))
  fc.assert(
    fc.property(hostile(valid), (bytes) => reads(bytes) === isOwn(bytes)),
    { numRuns: 2000 },
  )
})

t.test('a signature by another key is refused', async (t) => {
  const forged = sealEnvelope('murmuration-update', payload, { publicKey: alice.publicKey, sign: signerOf('mallory').sign })
  t.equal(openEnvelope(forged, 'murmuration-update', verifier), 'bad-signature')
})
