import fc from 'fast-check'
import t from 'tap'
import { decodeGossip, encodeAnnouncement, encodeEvidence, gossipId } from '../../protocol/gossip.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { inlineFits, openEvidence, openUpdate, sealUpdate, type UpdateRules } from '../../protocol/update.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'

const task = sha256(new TextEncoder().encode('task'))
const rules: UpdateRules = { task, codec: 'float32', length: 4, verify: verifier }
const alice = signerOf('alice')
const payload = new Uint8Array(16)
const ref = { hash: payloadRoot(payload, sha256), length: 16, codec: 'float32' }

t.test('an update survives the wire with all its fields', async (_t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 0xffffffff }),
      fc.option(fc.integer({ min: 0, max: 1000 })),
      fc.boolean(),
      (round, millis, final) => {
        const accuracy = millis === null ? {} : { accuracy: millis / 1000 }
        const sealed = sealUpdate({ round, payload: ref, final, ...accuracy }, task, alice)
        const opened = openUpdate(sealed.envelope, rules)
        if (typeof opened === 'string') return false
        return (
          opened.round === round &&
          opened.final === final &&
          opened.author === alice.peerId &&
          (opened.accuracy ?? -1) <= (accuracy.accuracy ?? -1) + 1e-9
        )
      },
    ),
    { numRuns: 50 },
  )
})

t.test('an announcement is about 300 bytes', async (t) => {
  t.ok(sealUpdate({ round: 1000, payload: ref, final: false, accuracy: 0.98 }, task, alice).envelope.length < 320)
})

t.test('each bad record has its own reason', async (t) => {
  const seal = (change: object, of = task) => sealUpdate({ round: 1, payload: ref, final: false, ...change }, of, alice).envelope
  t.equal(openUpdate(seal({}, sha256(task)), rules), 'wrong-task')
  t.equal(openUpdate(seal({ round: 0 }), rules), 'malformed')
  t.equal(openUpdate(seal({ payload: { ...ref, length: 20 } }), rules), 'bad-ref')
  t.equal(openUpdate(seal({ payload: { ...ref, length: 2 ** 40 } }), rules), 'bad-ref')
  t.equal(openUpdate(seal({ payload: { ...ref, codec: 'zip' } }), rules), 'bad-ref')
  t.equal(openUpdate(seal({ payload: { ...ref, hash: new Uint8Array(5) } }), rules), 'malformed')
  t.equal(openUpdate(new Uint8Array(LIMITS.recordBytes + 1), rules), 'too-large')
  t.equal(openUpdate(new Uint8Array(10), rules), 'malformed')
})

t.test('gossip never throws, whatever the bytes', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      decodeGossip(bytes)
      gossipId(bytes, sha256)
      openUpdate(bytes, rules)
      openEvidence(bytes, bytes, rules)
    }),
    { numRuns: 500 },
  )
})

t.test('a small payload rides along and is taken only with the signed hash; the message id does not depend on it', async (t) => {
  const update = sealUpdate({ round: 1, payload: ref, final: false }, task, alice)
  const message = encodeAnnouncement(update.envelope, payload)
  const decoded = decodeGossip(message)
  t.ok(typeof decoded === 'object' && decoded.type === 'announcement' && inlineFits(update, decoded.inline, sha256))
  t.notOk(
    inlineFits(
      update,
      Uint8Array.from(payload, () => 1),
      sha256,
    ),
  )
  const large = encodeAnnouncement(update.envelope, new Uint8Array(LIMITS.inlineBytes + 1))
  t.ok(large.length < 400, 'a larger one stays behind')
  t.same(gossipId(message, sha256), gossipId(large, sha256))
})

t.test('evidence proves exactly two different updates of one author for one round', async (t) => {
  const seal = (round: number, final: boolean, by = alice) => sealUpdate({ round, payload: ref, final }, task, by).envelope
  t.ok(Array.isArray(openEvidence(seal(3, false), seal(3, true), rules)))
  t.equal(openEvidence(seal(3, false), seal(3, false), rules), 'bad-evidence')
  t.equal(openEvidence(seal(3, false), seal(4, false), rules), 'bad-evidence')
  t.equal(openEvidence(seal(3, false), seal(3, true, signerOf('bob')), rules), 'bad-evidence')
  const decoded = decodeGossip(encodeEvidence(seal(3, false), seal(3, true)))
  t.match(decoded, { type: 'evidence' })
})
