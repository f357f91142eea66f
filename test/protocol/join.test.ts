import fc from 'fast-check'
import t from 'tap'
import {
  decodeJoinRequest,
  decodeJoinResponse,
  decodeTaskRequest,
  decodeTaskResponse,
  encodeJoinResponse,
  REFUSALS,
  refusalIn,
} from '../../protocol/join.ts'
import { decodeJoinLine, encodeJoinLine, type JoinLine } from '../../protocol/join-line.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { sha256 } from '../helpers/keys.ts'

const line: JoinLine = { task: 'ab'.repeat(32), addresses: ['/ip4/192.0.2.7/tcp/4001'] }
const bytes = (count: number) => Uint8Array.from({ length: count }, (_, i) => 7 * i)

t.test('a join line holds an invite with its key, or a membership, and stays short enough to paste', async (t) => {
  const invited = { ...line, invite: bytes(230), key: bytes(32) }
  t.same(decodeJoinLine(encodeJoinLine(invited, sha256), sha256), invited)
  const admitted = { ...line, membership: bytes(230) }
  t.same(decodeJoinLine(encodeJoinLine(admitted, sha256), sha256), admitted)
  t.same(decodeJoinLine(encodeJoinLine(line, sha256), sha256), line)
  const addresses = Array.from({ length: 4 }, () => 'a'.repeat(LIMITS.addressBytes))
  t.ok(encodeJoinLine({ ...invited, addresses }, sha256).length <= 4096)
})

t.test('a join line with half an invite, or with what this version does not know, is refused', async (t) => {
  const refused = (change: object) =>
    t.throws(() => decodeJoinLine(encodeJoinLine({ ...line, ...change }, sha256), sha256), { code: 'bad-join-line' })
  refused({ invite: bytes(230) })
  refused({ key: bytes(32) })
  refused({ invite: bytes(230), key: bytes(31) })
  refused({ invite: bytes(0), key: bytes(32) })
  refused({ invite: bytes(LIMITS.recordBytes + 1), key: bytes(32) })
  refused({ addresses: [] })
})

t.test('each refusal is known by its text, and only by its own', async (t) => {
  for (const [name, { text }] of Object.entries(REFUSALS)) t.equal(refusalIn(`${text} (…12345678); more`), name)
  t.equal(refusalIn('busy: ask again'), undefined)
})

t.test('a roster is cut to what an answer may hold', async (t) => {
  const roster = Array.from({ length: 5000 }, () => ({ kind: 'membership' as const, envelope: bytes(240) }))
  const answer = encodeJoinResponse({ membership: bytes(240), roster, round: 3 })
  t.ok(answer.length <= LIMITS.responseBytes)
  const decoded = decodeJoinResponse(answer)
  t.ok(decoded !== 'malformed' && decoded.roster.length > 2000 && decoded.round === 3)
})

t.test('an answer full of empty certificates is refused before it costs memory', async (t) => {
  t.equal(decodeJoinResponse(Uint8Array.from({ length: LIMITS.responseBytes }, (_, i) => (i % 2 === 0 ? 0x12 : 0))), 'malformed')
})

t.test('no bytes make a decoder throw', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (given) => {
      for (const decode of [decodeJoinRequest, decodeJoinResponse, decodeTaskRequest, decodeTaskResponse]) decode(given)
    }),
    { numRuns: 300 },
  )
})
