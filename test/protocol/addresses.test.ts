// Signed lists of addresses: what is sealed opens as it was, within its bounds, for its task only.
import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { openAddresses, sealAddresses } from '../../protocol/addresses.ts'
import { sealEnvelope } from '../../protocol/envelope.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { AddressesSchema } from '../../protocol/wire_pb.ts'
import { anyCodePoint } from '../helpers/any-text.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'

const task = sha256(new Uint8Array(1))
const author = signerOf('a')
const open = (envelope: Uint8Array) => openAddresses(envelope, task, verifier)
const sealRaw = (change: { task?: Uint8Array; sequence?: bigint; addresses?: string[] }) =>
  sealEnvelope('murmuration-addresses', toBinary(AddressesSchema, create(AddressesSchema, { task, sequence: 5n, ...change })), author)

t.test('what is sealed opens as it was', async (t) => {
  const addresses = ['/ip4/203.0.113.5/tcp/4001/p2p/12D3', '/dns4/peer.example/tcp/1']
  const sealed = sealAddresses({ sequence: 1_700_000_000_000, addresses }, task, author)
  t.same(open(sealed.envelope), sealed)
  t.match(sealed, { author: author.peerId, sequence: 1_700_000_000_000, addresses })
  t.same(sealAddresses({ sequence: 1, addresses: [] }, task, author).addresses, [], 'who cannot be dialled says so')
})

t.test('whatever addresses a peer finds it has, what it seals is within the limits and opens', async () => {
  // Not fc.webUrl, which lays a table as well.
  const url = fc.domain().map((name) => `https://${name}/`)
  const texts = fc.array(fc.oneof(fc.string({ unit: anyCodePoint, maxLength: 500 }), url), { maxLength: 20 })
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (addresses, sequence) => {
      const sealed = sealAddresses({ sequence, addresses }, task, author)
      const opened = open(sealed.envelope)
      return (
        sealed.envelope.length <= LIMITS.recordBytes && typeof opened === 'object' && opened.addresses.every((a) => addresses.includes(a))
      )
    }),
    { numRuns: 30 },
  )
  const long = Array.from({ length: 20 }, (_, i) => `/dns4/${'x'.repeat(370)}${i}/tcp/1`)
  const sealed = sealAddresses({ sequence: 1, addresses: long }, task, author)
  t.ok(sealed.addresses.length >= 4 && sealed.addresses.length < LIMITS.addresses, 'the first ones, as many as fit')
})

t.test('what does not belong or goes too far is refused by its reason', async (t) => {
  t.equal(open(sealRaw({ task: sha256(new Uint8Array(2)) })), 'wrong-task')
  t.equal(open(sealRaw({ sequence: 0n })), 'malformed')
  t.equal(open(sealRaw({ sequence: 2n ** 60n })), 'malformed')
  t.equal(open(sealRaw({ addresses: Array.from({ length: LIMITS.addresses + 1 }, () => '/ip4/1.2.3.4/tcp/1') })), 'malformed')
  for (const text of ['', 'a b', 'red \u001b[31m', 'é', 'x'.repeat(LIMITS.addressBytes + 1)]) {
    t.equal(open(sealRaw({ addresses: [text] })), 'malformed', JSON.stringify(text.slice(0, 10)))
  }
  t.equal(open(new Uint8Array(LIMITS.recordBytes + 1)), 'too-large')
  t.equal(open(Uint8Array.of(1, 2, 3)), 'malformed')
  t.equal(open(sealEnvelope('murmuration-addresses', Uint8Array.of(255), author)), 'malformed')
  t.equal(
    open(sealEnvelope('murmuration-update', toBinary(AddressesSchema, create(AddressesSchema, { task, sequence: 5n })), author)),
    'malformed',
  )
  const forged = sealEnvelope('murmuration-addresses', new Uint8Array(), { ...author, sign: () => new Uint8Array(64) })
  t.equal(open(forged), 'bad-signature')
})
