import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { createMemberBook, type MemberBookParts, type MemberEvent } from '../../node/peer/member-book.ts'
import type { Signer } from '../../node/ports.ts'
import { openDocuments } from '../../node/store/documents.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { peerIdOf } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { sealMembership, sealRevocation } from '../../protocol/membership.ts'
import { EARLIEST_CLOCK, EXPIRY_TOLERANCE } from '../../protocol/standing.ts'
import { signerOf, verifier } from '../helpers/keys.ts'
import { taskOf } from '../helpers/task.ts'

const task = taskOf({ admission: { mode: 'invite', admins: [] } })
const [founder, alice, bob, carol] = ['founder', 'alice', 'bob', 'carol'].map(signerOf) as [Signer, Signer, Signer, Signer]
const start = EARLIEST_CLOCK + 1_000_000

function bookOf(change: Partial<MemberBookParts> = {}) {
  return createMemberBook({ task, store: memoryStore(), verify: verifier, clock: createVirtualClock(1000 * start), ...change })
}

const membership = (of: Signer, by: Signer, role: 'peer' | 'admin' = 'peer', more: { expiresAt?: number; issuedAt?: number } = {}) => ({
  kind: 'membership' as const,
  envelope: sealMembership({ key: of.publicKey, role, issuedAt: start, ...more }, task.id, by).envelope,
})
const revocation = (of: Signer, by: Signer, issuedAt = start) => ({
  kind: 'revocation' as const,
  envelope: sealRevocation({ key: of.publicKey, issuedAt }, task.id, by).envelope,
})

t.test('a membership makes a member, a revocation ends it for ever, and both are told and kept', async (t) => {
  const store = openDocuments(t.testdir())
  const book = await bookOf({ store })
  const events: MemberEvent[] = []
  book.subscribe((event) => events.push(event))
  t.notOk(book.isMember(alice.peerId))
  t.equal(book.take(membership(bob, alice)), 'unknown-issuer')
  t.equal(book.take(membership(alice, founder, 'admin')), 'new')
  t.equal(book.take(membership(alice, founder, 'admin')), 'known')
  t.equal(book.take(membership(bob, alice)), 'new')
  t.ok(book.isMember(bob.peerId))
  t.match(book.members(), [
    { peer: alice.peerId, role: 'admin' },
    { peer: bob.peerId, role: 'peer' },
  ])
  t.strictSame(book.membershipOf(bob.peerId), membership(bob, alice).envelope)
  t.equal(book.take(revocation(bob, alice)), 'new')
  t.notOk(book.isMember(bob.peerId))
  t.equal(book.take(membership(bob, founder)), 'revoked')
  t.match(events, [
    { peer: alice.peerId, member: true, role: 'admin', why: 'admitted' },
    { peer: bob.peerId, member: true, role: 'peer', why: 'admitted' },
    { peer: bob.peerId, member: false, role: 'peer', why: 'revoked' },
  ])
  await book.flush()

  const again = await bookOf({ store })
  t.same(again.members(), book.members())
  t.same(again.revoked(), book.revoked())
  t.same(again.records(), book.records())
  const others = await bookOf()
  for (const record of again.records()) t.equal(others.take(record), 'new', 'in an order in which each is believed')
  t.same(others.whyRevoked(bob.peerId), again.records().slice(0, 2), 'the admin, and what the admin revoked')
})

t.test('where admission is open everyone is a member, but whom the founder or an admin has revoked', async (t) => {
  const open = taskOf()
  const book = await bookOf({ task: open })
  const events: MemberEvent[] = []
  book.subscribe((event) => events.push(event))
  t.ok(book.isMember(bob.peerId))
  const sign = (by: Signer) => sealRevocation({ key: bob.publicKey, issuedAt: start }, open.id, by).envelope
  t.equal(book.take({ kind: 'revocation', envelope: sign(alice) }), 'unknown-issuer')
  t.equal(book.take({ kind: 'revocation', envelope: sign(founder) }), 'new')
  t.notOk(book.isMember(bob.peerId))
  t.ok(book.isMember(alice.peerId))
  t.match(events, [{ peer: bob.peerId, member: false, why: 'revoked' }])
  t.same(book.members(), [])
})

t.test('a membership ends by itself, which is told, and another one renews it', async (t) => {
  const clock = createVirtualClock(1000 * start)
  const book = await bookOf({ clock })
  const events: MemberEvent[] = []
  book.subscribe((event) => events.push(event))
  book.take(membership(bob, founder, 'peer', { expiresAt: start + 100 }))
  await clock.advance(1000 * (EXPIRY_TOLERANCE + 90))
  t.ok(book.isMember(bob.peerId))
  await clock.advance(200_000)
  t.notOk(book.isMember(bob.peerId))
  t.match(events.at(-1), { peer: bob.peerId, member: false, why: 'expired' })
  t.same(book.records(), [], 'what has ended is not passed on')
  t.equal(book.take(membership(bob, founder, 'peer', { issuedAt: start + 9999 })), 'new')
  t.ok(book.isMember(bob.peerId))
  await book.close()
})

t.test('nobody comes back with the end of an admin, where someone who may takes over; its key revokes nobody after it', async (t) => {
  const clock = createVirtualClock(1000 * start)
  const store = memoryStore()
  const parts = { clock, store }
  const book = await bookOf(parts)
  const [dave, erin] = [signerOf('dave'), signerOf('erin')]
  for (const one of [carol, dave]) book.take(membership(one, founder))
  book.take(membership(alice, founder, 'admin', { expiresAt: start + 100 }))
  book.take(membership(bob, founder, 'admin'))
  t.equal(book.take(revocation(carol, alice)), 'new')
  t.same(book.lapsingFor(bob.peerId), [])
  await clock.advance(200_000)
  t.strictSame(book.lapsingFor(bob.peerId), [carol.publicKey])
  t.same(book.lapsingFor(alice.peerId), [], 'not by the one whose time is over')
  t.same(book.lapsingFor(erin.peerId), [])
  await book.flush()
  await book.close()

  await clock.advance(1000 * EXPIRY_TOLERANCE)
  const again = await bookOf(parts)
  t.same(again.lapsingFor(founder.peerId).map(peerIdOf), [carol.peerId], 'also where nobody ran meanwhile')
  t.equal(again.take(revocation(dave, alice, start + 50)), 'expired', 'whatever time it writes')
  t.ok(again.isMember(dave.peerId))
  t.equal(again.take(revocation(carol, bob)), 'new')
  t.same(again.lapsingFor(bob.peerId), [])
  t.notOk(again.isMember(carol.peerId))
  await again.close()
})

t.test('what a revocation would bring with it is known before it is made', async (t) => {
  const book = await bookOf()
  const dave = signerOf('dave')
  for (const record of [
    membership(alice, founder, 'admin'),
    membership(bob, alice),
    membership(carol, founder),
    membership(carol, alice),
    membership(dave, founder),
    revocation(dave, alice),
  ])
    book.take(record)
  t.same(book.ifRevoked([alice.peerId]), { ended: [bob.peerId], back: [dave.peerId] })
  t.same(book.ifRevoked([alice.peerId, dave.peerId]), { ended: [bob.peerId], back: [] }, 'where it is taken over')
  t.same(book.ifRevoked([bob.peerId]), { ended: [], back: [] })
  t.ok(book.isMember(bob.peerId), 'nothing has happened')
})

t.test('a clock in 1970 ends nothing, and that is said once', async (t) => {
  const warnings: string[] = []
  const book = await bookOf({ clock: createVirtualClock(60_000), onWarning: ({ message }) => warnings.push(message) })
  book.take(membership(bob, founder, 'peer', { expiresAt: start }))
  book.take(membership(carol, founder, 'peer', { expiresAt: start }))
  t.ok(book.isMember(bob.peerId))
  t.equal(warnings.length, 1)
  t.match(warnings[0], /clock says 1970/)
  await book.close()
})

t.test('of several memberships by one issuer all keep the newest, and of revocations the oldest', async (t) => {
  const [one, other] = [await bookOf(), await bookOf()]
  const records = [
    ...[5, 7, 6].map((issuedAt) => membership(bob, founder, 'peer', { issuedAt })),
    ...[5, 7, 6].map((issuedAt) => revocation(carol, founder, issuedAt)),
  ]
  for (const record of records) one.take(record)
  for (const record of records.reverse()) other.take(record)
  t.same(one.records(), other.records())
  t.equal(one.records().length, 2)
})

t.test('the book is bounded, whatever an admin signs, and the founder is always heard', async (t) => {
  const strangers = Array.from({ length: 12 }, (_, i) => signerOf(`stranger ${i}`))
  const limits = LIMITS as { -readonly [K in keyof typeof LIMITS]: number }
  const { members, revocations } = LIMITS
  t.teardown(() => Object.assign(limits, { members, revocations }))
  Object.assign(limits, { members: 8, revocations: 4 })
  const book = await bookOf()
  book.take(membership(alice, founder, 'admin'))
  t.same(strangers.map((peer) => book.take(membership(peer, alice))).filter((code) => code === 'full').length, 5)
  t.equal(book.members().length, 8)
  t.equal(book.take(membership(bob, founder, 'admin')), 'new', 'an admin more, who can help')
  t.same(strangers.map((peer) => book.take(revocation(peer, alice))).filter((code) => code === 'full').length, 8)
  t.equal(book.take(revocation(alice, founder)), 'new')
  t.notOk(book.isMember(alice.peerId))
  t.equal(book.take(membership(carol, founder)), 'new', 'there is room again')
})

t.test('a damaged file is one clear sentence', async (t) => {
  const dir = t.testdir()
  const store = openDocuments(dir)
  const book = await bookOf({ store })
  book.take(membership(alice, founder, 'admin'))
  await book.flush()
  const bytes = (await store.loadDocument('members'))!
  for (const damaged of [bytes.subarray(1), bytes.subarray(0, -1), Buffer.from('hello')]) {
    await writeFile(join(dir, 'members'), damaged)
    await t.rejects(bookOf({ store }), { code: 'directory-invalid', message: /"members" is damaged at byte 0/ })
  }
})

t.test('a disk that fails is told, and what was taken is written with the next that works', async (t) => {
  let isFull = true
  const memory = memoryStore()
  const store = {
    loadDocument: memory.loadDocument,
    async saveDocument(...document: Parameters<typeof memory.saveDocument>) {
      if (isFull) throw new Error('ENOSPC')
      await memory.saveDocument(...document)
    },
  }
  const warnings: string[] = []
  const book = await bookOf({ store, onWarning: ({ message }) => warnings.push(message) })
  book.take(membership(alice, founder, 'admin'))
  await t.rejects(book.flush(), { code: 'disk-failed' })
  t.equal(warnings.length, 1)
  isFull = false
  await book.flush()
  t.equal((await bookOf({ store })).members().length, 1)
})
