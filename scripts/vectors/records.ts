// Vectors of updates, of gossip around them, of evidence, and of signed records of any kind.
import { create, toBinary } from '@bufbuild/protobuf'
import { LIMITS } from '../../protocol/limits.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { digestOf, encodeSigned, type SignedRecord } from '../../protocol/signed.ts'
import { UpdateSchema } from '../../protocol/wire_pb.ts'
import { bytesField, hexOf, joined, sealed, sha256, signerOf, unsigned, utf8, type VectorFile, varintField } from './kit.ts'

const TASK = sha256(utf8('a task'))
const RULES = { task: hexOf(TASK), codec: 'float32', length: 4 }
const PAYLOAD = Uint8Array.from({ length: 16 }, (_, i) => i)
const REF = { hash: payloadRoot(PAYLOAD, sha256), length: 16n, codec: 'float32' }

type Fields = {
  task?: Uint8Array
  round?: number
  payload?: { hash: Uint8Array; length: bigint; codec: string }
  accuracyMillis?: number
  final?: boolean
}

const signedOf = (fields: Fields = {}): Uint8Array =>
  toBinary(UpdateSchema, create(UpdateSchema, { task: TASK, round: 7, payload: REF, ...fields }))
const NOTHING: Uint8Array = new Uint8Array()
const updateOf = (fields: Fields = {}, author = 'alice'): Uint8Array => sealed('murmuration-update', signedOf(fields), author)

export function updates(): VectorFile {
  const given = (why: string, record: Uint8Array) => ({ why, rules: RULES, record: hexOf(record) })
  const valid = (why: string, fields: Fields, more: { accuracy?: number }, extra = NOTHING) => {
    const signed = joined(signedOf(fields), extra)
    const { round = 7, final = false } = fields
    const ref = { hash: hexOf(REF.hash), length: 16, codec: 'float32' }
    return {
      ...given(why, sealed('murmuration-update', signed, 'alice')),
      gives: { author: signerOf('alice').peerId, round, final, payload: ref, signed: hexOf(signed), ...more },
    }
  }
  const refused = (why: string, record: Uint8Array, code: string) => ({ ...given(why, record), refused: code })
  return {
    about: 'Update records: what a task says of its updates, and an envelope, in; the update, or the code of its refusal, out.',
    cases: [
      valid('no accuracy is told', {}, {}),
      valid('an accuracy of 0.981 is 982 on the wire', { accuracyMillis: 982 }, { accuracy: 0.981 }),
      valid('an accuracy of 0 is 1 on the wire', { accuracyMillis: 1 }, { accuracy: 0 }),
      valid('a final record of the furthest round', { round: 0xffffffff, final: true, accuracyMillis: 1001 }, { accuracy: 1 }),
      valid('an unknown field inside the signed bytes is kept, hashed and compared, and otherwise ignored', {}, {}, varintField(15, 3)),
      refused('signed for another task', updateOf({ task: sha256(utf8('another task')) }), 'wrong-task'),
      refused('no task at all', updateOf({ task: new Uint8Array() }), 'wrong-task'),
      refused('round 0', updateOf({ round: 0 }), 'malformed'),
      refused('a hash of 31 bytes', updateOf({ payload: { ...REF, hash: REF.hash.subarray(1) } }), 'malformed'),
      refused('no payload', sealed('murmuration-update', joined(bytesField(1, TASK), varintField(2, 7)), 'alice'), 'malformed'),
      refused('an accuracy above 1', updateOf({ accuracyMillis: 1002 }), 'malformed'),
      refused('signed bytes that are no message', sealed('murmuration-update', Uint8Array.of(0xff), 'alice'), 'malformed'),
      refused("a length that is not the task's", updateOf({ payload: { ...REF, length: 20n } }), 'bad-ref'),
      refused('a length beyond 2^53', updateOf({ payload: { ...REF, length: 2n ** 63n } }), 'bad-ref'),
      refused("a codec that is not the task's", updateOf({ payload: { ...REF, codec: 'int8' } }), 'bad-ref'),
      refused('unsigned', unsigned('murmuration-update', signedOf(), 'alice'), 'bad-signature'),
      refused('signed for another domain', sealed('murmuration-task', signedOf(), 'alice'), 'malformed'),
      refused('one byte above the limit of a record', new Uint8Array(LIMITS.recordBytes + 1), 'too-large'),
    ],
  }
}

const announcement = (record: Uint8Array, inline = NOTHING, membership = NOTHING): Uint8Array =>
  bytesField(
    1,
    joined(
      bytesField(1, record),
      inline.length > 0 ? bytesField(2, inline) : inline,
      membership.length > 0 ? bytesField(3, membership) : membership,
    ),
  )
const evidenceOf = (first: Uint8Array, second: Uint8Array): Uint8Array => joined(bytesField(1, first), bytesField(2, second))

export function gossip(): VectorFile {
  const record = updateOf()
  const membership = utf8('a membership')
  const both = [updateOf(), updateOf({ final: true })] as const
  const given = (why: string, message: Uint8Array, id: Uint8Array) => ({ why, message: hexOf(message), id: hexOf(sha256(id)) })
  const plain = announcement(record)
  const inlined = announcement(record, PAYLOAD, membership)
  const proof = bytesField(2, evidenceOf(...both))
  const unknown = bytesField(15, utf8('of a later version'))
  return {
    about:
      'Gossip messages: bytes in; kind, parts and message id out. The id is the SHA-256 of the signed update, else of the whole message.',
    cases: [
      {
        ...given('an announcement alone', plain, record),
        gives: { type: 'announcement', record: hexOf(record), inline: '', membership: '' },
      },
      {
        ...given('the payload and a membership ride along; the id is the same', inlined, record),
        gives: { type: 'announcement', record: hexOf(record), inline: hexOf(PAYLOAD), membership: hexOf(membership) },
        rules: RULES,
        inlineFits: true,
      },
      {
        ...given('another payload rides along: the record is good, its messenger is not', announcement(record, new Uint8Array(16)), record),
        gives: { type: 'announcement', record: hexOf(record), inline: hexOf(new Uint8Array(16)), membership: '' },
        rules: RULES,
        inlineFits: false,
      },
      { ...given('evidence', proof, proof), gives: { type: 'evidence', first: hexOf(both[0]), second: hexOf(both[1]) } },
      ...(['membership', 'revocation', 'addresses'] as const).map((type, i) => {
        const message = bytesField(3 + i, record)
        return { ...given(`a ${type} on its own, unopened`, message, message), gives: { type, envelope: hexOf(record) } }
      }),
      { ...given('a kind of a later version', unknown, unknown), refused: 'wrong-version' },
      { ...given('nothing', new Uint8Array(), new Uint8Array()), refused: 'wrong-version' },
      { ...given('not protobuf', utf8('\u0001\u0002 hello'), utf8('\u0001\u0002 hello')), refused: 'malformed' },
    ],
  }
}

export function evidence(): VectorFile {
  const [first, second] = [updateOf(), updateOf({ final: true })]
  const given = (why: string, a: Uint8Array, b: Uint8Array) => ({ why, rules: RULES, first: hexOf(a), second: hexOf(b) })
  const refused = (why: string, a: Uint8Array, b: Uint8Array) => ({ ...given(why, a, b), refused: 'bad-evidence' })
  const gives = { author: signerOf('alice').peerId, round: 7 }
  const unknown = sealed('murmuration-update', joined(signedOf(), varintField(15, 3)), 'alice')
  return {
    about: 'Evidence: two records in; their author and round out, where they prove that it signed two different updates for one round.',
    cases: [
      { ...given('two updates of one round', first, second), gives },
      { ...given('the order does not matter', second, first), gives },
      { ...given('the same meaning in other bytes is another update', first, unknown), gives },
      refused('the same record twice', first, first),
      refused('two rounds', first, updateOf({ round: 8 })),
      refused('two authors', first, updateOf({ final: true }, 'bob')),
      refused('one of another task', first, updateOf({ task: sha256(utf8('another task')) })),
      refused('one unsigned', first, unsigned('murmuration-update', signedOf({ final: true }), 'alice')),
      refused('one missing', first, new Uint8Array()),
    ],
  }
}

export function signedRecords(): VectorFile {
  const envelope = updateOf()
  const valid = (why: string, record: SignedRecord) => ({
    why,
    signed: hexOf(encodeSigned(record)),
    gives: Object.fromEntries(Object.entries(record).map(([key, value]) => [key, typeof value === 'string' ? value : hexOf(value)])),
    digest: hexOf(digestOf(record, sha256)),
  })
  const refused = (why: string, signed: Uint8Array) => ({ why, signed: hexOf(signed), ignored: true })
  return {
    about:
      'Signed records as the state exchange and stores hold them: bytes in; kind, unopened envelopes and digest out. What is ignored is of a later version, too long, or no message.',
    cases: [
      valid('an update', { kind: 'update', envelope }),
      valid('evidence', { kind: 'evidence', first: envelope, second: updateOf({ final: true }) }),
      ...(['membership', 'revocation', 'addresses'] as const).map((kind) => valid(`a ${kind}, unopened`, { kind, envelope })),
      refused('a kind of a later version', bytesField(15, envelope)),
      refused('nothing', new Uint8Array()),
      refused('an envelope above its limit', bytesField(1, new Uint8Array(LIMITS.recordBytes + 1))),
      refused('cut off', encodeSigned({ kind: 'update', envelope }).subarray(0, -1)),
    ],
  }
}
