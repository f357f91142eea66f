// Every decoder of a stranger's bytes against random, changed, cut, stretched and lying ones: it answers with a value, a reason of the
// closed set, or a MurmurError, and nothing else; what it keeps is no larger than what came; and what is encoded decodes to the same.
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { readPeerAddress } from '../../node/host/addresses.ts'
import { REPLY_BYTES, readReply } from '../../node/host/serving.ts'
import { decodeCertificates, encodeCertificates } from '../../node/peer/certificate-file.ts'
import { openAddresses, sealAddresses } from '../../protocol/addresses.ts'
import { parseLabRule, parseRule } from '../../protocol/aggregation/index.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { decodeBounded } from '../../protocol/decoding.ts'
import { openEnvelope, readEnvelope, sealEnvelope } from '../../protocol/envelope.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { decodeGossip, encodeAnnouncement, encodeEvidence, encodeRecord, gossipId } from '../../protocol/gossip.ts'
import {
  decodeJoinRequest,
  decodeJoinResponse,
  decodeTaskRequest,
  decodeTaskResponse,
  encodeJoinRequest,
  encodeJoinResponse,
  encodeTaskRequest,
  encodeTaskResponse,
} from '../../protocol/join.ts'
import { decodeJoinLine, encodeJoinLine } from '../../protocol/join-line.ts'
import { encodeManifest, parseManifest } from '../../protocol/manifest.ts'
import {
  openInvite,
  openMembership,
  openRedemption,
  openRevocation,
  sealInvite,
  sealMembership,
  sealRedemption,
  sealRevocation,
} from '../../protocol/membership.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { REJECTIONS } from '../../protocol/rejections.ts'
import { decodeSigned, encodeSigned, signedMessage } from '../../protocol/signed.ts'
import { openTask, sealTask } from '../../protocol/task.ts'
import { openEvidence, openUpdate, readUpdate, sealUpdate } from '../../protocol/update.ts'
import { readVarint, varint } from '../../protocol/varint.ts'
import { PayloadRequestSchema, RecordsRequestSchema, RecordsResponseSchema } from '../../protocol/wire_pb.ts'
import { changed, HUGE, hostile } from '../helpers/hostile-bytes.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'
import { manifestOf } from '../helpers/task.ts'

interface Decoder {
  /** Well-formed inputs, from which hostile ones are made. */
  valid: Uint8Array[]
  decode(bytes: Uint8Array): unknown
  /** Bytes of memory that a result may hold, for an input of a length; default: the input once more, and a little. */
  kept?: (length: number) => number
}

const alice = signerOf('alice')
const task = sha256(new TextEncoder().encode('task'))
const payload = new Uint8Array(16)
const ref = { hash: payloadRoot(payload, sha256), length: 16, codec: 'float32' }
const rules = { task, codec: 'float32', length: 4, verify: verifier }
const update = (round = 3, final = false) => sealUpdate({ round, payload: ref, final, accuracy: 0.5 }, task, alice).envelope
const [first, second] = [update(), update(3, true)]
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const joinLine = encodeJoinLine({ task: '5e'.repeat(32), addresses: [`/ip4/192.0.2.7/tcp/4001/p2p/${alice.peerId}`] }, sha256)
const manifest = manifestOf({ rule: 'nnm | trimmed-mean' })

/** Signs whatever the bytes are: fuzzes what lies behind a good signature. */
const signed = (domain: Parameters<typeof sealEnvelope>[0], bytes: Uint8Array) => sealEnvelope(domain, bytes, alice)
const payloadOf = (envelope: Uint8Array, domain: Parameters<typeof sealEnvelope>[0]): Uint8Array => {
  const opened = openEnvelope(envelope, domain, verifier)
  if (typeof opened === 'string') throw new Error(opened)
  return opened.payload
}

const certificates = { task, verify: verifier }
const membership = sealMembership({ key: alice.publicKey, role: 'admin', issuedAt: 5, expiresAt: 9, invite: alice.publicKey }, task, alice)
const revocation = sealRevocation({ key: alice.publicKey, issuedAt: 5 }, task, alice)
const invite = sealInvite({ key: alice.publicKey, role: 'peer', uses: 20, expiresAt: 7, memberSeconds: 9 }, task, alice)
const redemption = sealRedemption({ key: alice.publicKey, nonce: new Uint8Array(16) }, task, alice)
const addresses = sealAddresses({ sequence: 5, addresses: ['/ip4/192.0.2.7/tcp/1', '/dns4/a.example/tcp/2'] }, task, alice)

const proof = { invite: invite.envelope, redemption: redemption.envelope, membership: membership.envelope }
const certificateOf = (of: { envelope: Uint8Array }) => ({
  kind: of === membership ? ('membership' as const) : ('revocation' as const),
  envelope: of.envelope,
})

/** A kind of record as it comes, and behind a good signature. */
function recordDecoders(
  domain: Parameters<typeof sealEnvelope>[0],
  { envelope }: { envelope: Uint8Array },
  open: (envelope: Uint8Array) => unknown,
): Record<string, Decoder> {
  const kept = (length: number) => 2 * length + 1024
  return {
    [domain]: { valid: [envelope], decode: open, kept },
    [`${domain} behind a good signature`]: {
      valid: [payloadOf(envelope, domain)],
      decode: (bytes) => open(signed(domain, bytes)),
      kept,
    },
  }
}

const codecDecoder = (name: string): Decoder => {
  const codec = codecOf(name)
  const values = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i))
  return {
    valid: [codec.encode(values)],
    decode: (bytes) => codec.decode(bytes, 300, 10),
    kept: () => 300 * 4,
  }
}

/** Fields and elements of a message that is read at most. */
const FIELDS = 320

const messageDecoder = <D extends DescMessage>(schema: D, ...valid: MessageInitShape<D>[]): Decoder => ({
  valid: valid.map((message) => toBinary(schema, create(schema, message))),
  decode: (bytes) => decodeBounded(schema, bytes, FIELDS),
  // Each message within holds the name of its type.
  kept: (length) => 2 * length + FIELDS * 64,
})

const ruleDecoder = (parse: (text: string) => object, ...valid: string[]): Decoder => ({
  valid: valid.map(utf8),
  decode: (bytes) => parse(textOf(bytes)),
  kept: (length) => 8 * length + 1024,
})

const DECODERS: Record<string, Decoder> = {
  envelope: { valid: [first], decode: (bytes) => openEnvelope(bytes, 'murmuration-update', verifier) },
  ...recordDecoders('murmuration-update', { envelope: first }, (envelope) => openUpdate(envelope, rules)),
  ...recordDecoders('murmuration-membership', membership, (envelope) => openMembership(envelope, certificates)),
  ...recordDecoders('murmuration-revocation', revocation, (envelope) => openRevocation(envelope, certificates)),
  ...recordDecoders('murmuration-invite', invite, (envelope) => openInvite(envelope, certificates)),
  ...recordDecoders('murmuration-redemption', redemption, (envelope) => openRedemption(envelope, certificates)),
  ...recordDecoders('murmuration-addresses', addresses, (envelope) => openAddresses(envelope, task, verifier)),
  evidence: { valid: [first], decode: (bytes) => openEvidence(bytes, second, rules) },
  gossip: {
    valid: [
      encodeAnnouncement(first, payload, membership.envelope),
      encodeEvidence(first, second),
      encodeRecord({ kind: 'addresses', envelope: addresses.envelope }),
    ],
    decode: decodeGossip,
  },
  'gossip id': { valid: [encodeAnnouncement(first, payload)], decode: (bytes) => gossipId(bytes, sha256) },
  signed: {
    valid: [encodeSigned({ kind: 'update', envelope: first }), encodeSigned({ kind: 'evidence', first, second })],
    decode: decodeSigned,
  },
  'task request': { valid: [encodeTaskRequest(proof)], decode: decodeTaskRequest },
  'task response': { valid: [encodeTaskResponse(first)], decode: decodeTaskResponse },
  'join request': { valid: [encodeJoinRequest(task, proof)], decode: decodeJoinRequest },
  'join response': {
    valid: [encodeJoinResponse({ membership: membership.envelope, roster: [membership, revocation].map(certificateOf), round: 5 })],
    decode: decodeJoinResponse,
  },
  'members file': { valid: [encodeCertificates([membership, revocation].map(certificateOf))], decode: decodeCertificates },
  manifest: { valid: [encodeManifest(manifest)], decode: parseManifest, kept: (length) => 8 * length + 4096 },
  task: { valid: [sealTask(manifest, alice)], decode: (bytes) => openTask(bytes, { verify: verifier, hash: sha256 }) },
  'join line': { valid: [utf8(joinLine)], decode: (bytes) => decodeJoinLine(textOf(bytes), sha256) },
  'join line behind a good checksum': {
    valid: [utf8(JSON.stringify({ task: '5e'.repeat(32), addresses: ['/ip4/192.0.2.7/tcp/1'] }))],
    decode(bytes) {
      const packed = Buffer.concat([sha256(bytes).subarray(0, 4), bytes])
      return decodeJoinLine(`murmur1-${packed.toString('base64url')}`, sha256)
    },
  },
  address: {
    valid: [
      `/ip4/192.0.2.7/tcp/4001/p2p/${alice.peerId}`,
      `/dns4/relay.example/tcp/443/p2p/${alice.peerId}/p2p-circuit/p2p/${alice.peerId}`,
    ].map(utf8),
    decode: (bytes) => readPeerAddress(textOf(bytes))?.text.length,
  },
  reply: { valid: [Uint8Array.of(0, ...payload)], decode: (bytes) => readReply(bytes, alice.peerId) },
  'envelope before its signature': {
    valid: [first],
    decode: (bytes) => readEnvelope(bytes, 'murmuration-update'),
    kept: (length) => 3 * length + 256,
  },
  'update before its signature': { valid: [first], decode: (bytes) => readUpdate(bytes, rules), kept: (length) => 3 * length + 256 },
  'records request': messageDecoder(RecordsRequestSchema, { task, digests: new Uint8Array(80), starting: true }),
  'records response': messageDecoder(RecordsResponseSchema, {
    records: [signedMessage({ kind: 'update', envelope: first }), signedMessage({ kind: 'evidence', first, second })],
    more: true,
  }),
  'payload request': messageDecoder(PayloadRequestSchema, { task, hash: ref.hash, part: { case: 'chunk', value: 7 } }),
  rule: ruleDecoder(parseRule, 'nnm | trimmed-mean', 'clip(2) | geometric-median(nu=0.1, T=8)'),
  'rule of the lab': ruleDecoder(parseLabRule, 'nnm | bulyan', 'arc | centered-clipping(tau=10, L=1)'),
  varint: {
    valid: [0, 127, 128, 300, 2 ** 31 - 1].map((value) => Uint8Array.from(varint(value))),
    decode: (bytes) => readVarint(bytes, 0),
  },
  float32: codecDecoder('float32'),
  float16: codecDecoder('float16'),
  int8: codecDecoder('int8'),
}

/** Read as parts of rules only. */
const WITHIN = new Set(['parseCall', 'parseCalls'])

t.test('everything in protocol/ that reads bytes or text is among them', (t) => {
  const own = readFileSync(import.meta.filename, 'utf8')
  const folder = fileURLToPath(new URL('../../protocol/', import.meta.url))
  const sources = globSync('**/*.ts', { cwd: folder }).map((file) => readFileSync(`${folder}${file}`, 'utf8'))
  const names = sources.flatMap((text) =>
    [...text.matchAll(/^export function ((?:decode|open|parse|read)[A-Z]\w*)/gm)].map(([, name]) => name!),
  )
  t.ok(names.length > 20)
  t.same(
    // Imported, and used.
    names.filter((name) => !WITHIN.has(name) && own.split(name).length < 3),
    [],
  )
  t.end()
})

/** Bytes that a result keeps in memory: its buffers, whole, and its text. */
function memoryOf(value: unknown, seen = new Set<unknown>()): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null || seen.has(value)) return 0
  if (ArrayBuffer.isView(value)) {
    if (seen.has(value.buffer)) return 0
    seen.add(value.buffer)
    // Node cuts small buffers from a shared pool of 8 KiB.
    return value.buffer.byteLength === Buffer.poolSize ? value.byteLength : value.buffer.byteLength
  }
  seen.add(value)
  return Object.values(value).reduce((sum, part) => sum + memoryOf(part, seen), 0)
}

/** What a decoder says: a value, a code of the closed set, or a MurmurError; anything else fails the test. */
function outcome(decode: () => unknown): { value?: unknown } {
  try {
    const value = decode()
    if (typeof value === 'string' && !(value in REJECTIONS)) throw new TypeError(`it answered ${value}`)
    return { value }
  } catch (error) {
    if (!isMurmurError(error) || error.code === 'internal') throw error
    return {}
  }
}

for (const [name, decoder] of Object.entries(DECODERS)) {
  t.test(`${name}: whatever the bytes, a value or a known reason, and no more kept than came`, (t) => {
    for (const bytes of decoder.valid) t.ok(outcome(() => decoder.decode(bytes)).value, 'well-formed input is taken')
    fc.assert(
      fc.property(hostile(decoder.valid), (bytes) => {
        const copy = Uint8Array.from(bytes)
        const { value } = outcome(() => decoder.decode(bytes))
        const most = decoder.kept?.(bytes.length) ?? 2 * bytes.length + 256
        return Buffer.from(copy).equals(bytes) && memoryOf(value) <= most
      }),
      { numRuns: 300, seed: 4 },
    )
    t.end()
  })
}

t.test('lengths that promise gigabytes allocate nothing', (t) => {
  for (const [name, decoder] of Object.entries(DECODERS)) {
    for (const valid of decoder.valid) {
      let most = 0
      for (let at = 0; at < Math.min(valid.length, 64); at++) {
        for (const huge of HUGE) {
          const bytes = changed(valid, [{ how: 'overwrite', at, bytes: Uint8Array.from(huge) }])
          const before = process.memoryUsage().arrayBuffers
          outcome(() => decoder.decode(bytes))
          most = Math.max(most, process.memoryUsage().arrayBuffers - before)
        }
      }
      t.ok(most < 1024 * 1024, `${name}: ${most} bytes at most`)
    }
  }
  t.end()
})

t.test('messages that are nested without end are refused, not followed', (t) => {
  // Each byte opens one more group, or one more array.
  const groups = new Uint8Array(16 * 1024).fill(0x0b)
  const arrays = utf8('['.repeat(500_000))
  for (const [name, { decode }] of Object.entries(DECODERS)) {
    t.doesNotThrow(() => outcome(() => decode(groups)), name)
    t.doesNotThrow(() => outcome(() => decode(arrays)), name)
  }
  t.end()
})

t.test('a reply longer than its limit is refused before it is read', (t) => {
  t.throws(() => readReply(new Uint8Array(REPLY_BYTES + 1), alice.peerId), { code: 'limit-exceeded' })
  t.end()
})

t.test('what is encoded decodes to the same', (t) => {
  const someBytes = fc.uint8Array({ maxLength: 300 })
  const equal = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
  const plain = (record: object) => Object.entries(record).map(([key, value]) => [key, typeof value === 'string' ? value : [...value]])
  fc.assert(
    fc.property(someBytes, someBytes, fc.constantFrom('update', 'membership', 'revocation', 'addresses'), (a, b, kind) => {
      const one = decodeSigned(encodeSigned({ kind, envelope: a }))
      const two = decodeSigned(encodeSigned({ kind: 'evidence', first: a, second: b }))
      const told = decodeGossip(encodeAnnouncement(a, b))
      const proof = decodeGossip(encodeEvidence(a, b))
      return (
        equal(one && plain(one), plain({ kind, envelope: a })) &&
        equal(two && plain(two), plain({ kind: 'evidence', first: a, second: b })) &&
        typeof told === 'object' &&
        told.type === 'announcement' &&
        equal([[...told.record], [...told.inline]], [[...a], [...b]]) &&
        typeof proof === 'object' &&
        proof.type === 'evidence' &&
        equal([[...proof.first], [...proof.second]], [[...a], [...b]])
      )
    }),
    { numRuns: 300, seed: 4 },
  )
  const address = fc.string({ minLength: 1, maxLength: 80, unit: 'grapheme' })
  const line = fc.record({
    task: fc.constantFrom('5e'.repeat(32), '00'.repeat(32)),
    addresses: fc.array(address, { minLength: 1, maxLength: 4 }),
  })
  fc.assert(
    fc.property(line, (given) => equal(decodeJoinLine(encodeJoinLine(given, sha256), sha256), given)),
    { numRuns: 200, seed: 4 },
  )
  fc.assert(
    fc.property(someBytes, (bytes) => {
      const opened = openEnvelope(signed('murmuration-task', bytes), 'murmuration-task', verifier)
      return typeof opened === 'object' && opened.author === alice.peerId && equal([...opened.payload], [...bytes])
    }),
    { numRuns: 200, seed: 4 },
  )
  t.end()
})
