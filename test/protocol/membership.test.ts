import fc from 'fast-check'
import t from 'tap'
import { sealEnvelope } from '../../protocol/envelope.ts'
import { LIMITS } from '../../protocol/limits.ts'
import {
  type CertificateRules,
  openInvite,
  openMembership,
  openRedemption,
  openRevocation,
  sealInvite,
  sealMembership,
  sealRedemption,
  sealRevocation,
} from '../../protocol/membership.ts'
import { EARLIEST_CLOCK, EXPIRY_TOLERANCE, hasEnded, type Root, standingOf } from '../../protocol/standing.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'

const task = sha256(new TextEncoder().encode('task'))
const rules: CertificateRules = { task, verify: verifier }
const [founder, alice, bob, carol] = ['founder', 'alice', 'bob', 'carol'].map(signerOf) as [Signer, Signer, Signer, Signer]
type Signer = ReturnType<typeof signerOf>
const now = EARLIEST_CLOCK + 1_000_000

t.test('certificates survive the wire with all their fields', async (t) => {
  const times = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
  fc.assert(
    fc.property(times, fc.option(times), fc.constantFrom('peer', 'admin'), fc.boolean(), (issuedAt, expires, role, isInvited) => {
      const expiresAt = expires ?? undefined
      const body = { key: bob.publicKey, role, issuedAt, expiresAt, invite: isInvited ? carol.publicKey : undefined } as const
      t.match(openMembership(sealMembership(body, task, alice).envelope, rules), {
        ...{ role, issuedAt, expiresAt, subject: bob.peerId, issuer: alice.peerId },
      })
      const revocation = openRevocation(sealRevocation({ key: bob.publicKey, issuedAt }, task, alice).envelope, rules)
      t.match(revocation, { issuedAt, subject: bob.peerId, issuer: alice.peerId })
      const invite = { key: carol.publicKey, role, uses: 1 + (issuedAt % LIMITS.inviteUses), expiresAt, memberSeconds: expiresAt }
      t.match(openInvite(sealInvite(invite, task, alice).envelope, rules), { ...invite, subject: carol.peerId, issuer: alice.peerId })
    }),
    { numRuns: 30 },
  )
  const redemption = sealRedemption({ key: bob.publicKey, nonce: new Uint8Array(16) }, task, carol)
  t.match(openRedemption(redemption.envelope, rules), { subject: bob.peerId, issuer: carol.peerId })
  t.ok(sealMembership({ key: bob.publicKey, role: 'peer', issuedAt: now, invite: carol.publicKey }, task, alice).envelope.length < 300)
})

t.test('each bad certificate has its own reason', async (t) => {
  const body = { key: bob.publicKey, role: 'peer', issuedAt: 1 } as const
  const good = sealMembership(body, task, alice).envelope
  t.equal(openMembership(sealMembership(body, sha256(task), alice).envelope, rules), 'wrong-task')
  t.equal(openMembership(sealMembership({ ...body, key: new Uint8Array(36) }, task, alice).envelope, rules), 'malformed')
  t.equal(openMembership(sealMembership({ ...body, key: new Uint8Array(5) }, task, alice).envelope, rules), 'malformed')
  t.equal(openMembership(sealMembership({ ...body, invite: new Uint8Array(5) }, task, alice).envelope, rules), 'malformed')
  t.equal(openMembership(sealMembership({ ...body, issuedAt: 2 ** 60 }, task, alice).envelope, rules), 'malformed')
  t.equal(
    openMembership(
      good.map((byte, i) => (i === good.length - 1 ? byte ^ 1 : byte)),
      rules,
    ),
    'bad-signature',
  )
  t.equal(openMembership(new Uint8Array(LIMITS.recordBytes + 1), rules), 'too-large')
  t.equal(openMembership(sealEnvelope('murmuration-membership', Uint8Array.of(7), alice), rules), 'malformed')
  t.equal(openRevocation(good, rules), 'malformed', 'signed for another purpose')
  const invite = { key: carol.publicKey, role: 'peer', uses: 1 } as const
  t.equal(openInvite(sealInvite({ ...invite, uses: 0 }, task, alice).envelope, rules), 'malformed')
  t.equal(openInvite(sealInvite({ ...invite, uses: LIMITS.inviteUses + 1 }, task, alice).envelope, rules), 'malformed')
  t.equal(openRedemption(sealRedemption({ key: bob.publicKey, nonce: new Uint8Array(3) }, task, carol).envelope, rules), 'malformed')
})

t.test('no bytes make an opener throw', async () => {
  const open = [openMembership, openRevocation, openInvite, openRedemption]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(3), (bytes, which) => {
      open[which]!(bytes, rules)
      for (const domain of ['membership', 'revocation', 'invite', 'redemption'] as const) {
        open[which]!(sealEnvelope(`murmuration-${domain}`, bytes, alice), rules)
      }
    }),
    { numRuns: 1000 },
  )
})

const root: Root = { founder: founder.peerId, admins: [] }
const membership = (of: Signer, by: Signer, role: 'peer' | 'admin' = 'peer', more: { expiresAt?: number; issuedAt?: number } = {}) =>
  sealMembership({ key: of.publicKey, role, issuedAt: now, ...more }, task, by)
const revocation = (of: Signer, by: Signer) => sealRevocation({ key: of.publicKey, issuedAt: now }, task, by)
const standing = (memberships: ReturnType<typeof membership>[], revocations: ReturnType<typeof revocation>[] = [], at = now, from = root) =>
  standingOf({ memberships, revocations }, from, at)
const namesOf = ({ members }: ReturnType<typeof standing>) => [...members.keys()].sort()

t.test('the founder admits and names admins; an admin admits peers; nobody else admits anyone', async (t) => {
  const admin = membership(alice, founder, 'admin')
  t.same(namesOf(standing([admin, membership(bob, alice)])), [alice, bob].map((peer) => peer.peerId).sort())
  t.same(namesOf(standing([membership(bob, alice)])), [], 'the admin is not known')
  t.same(namesOf(standing([admin, membership(bob, alice, 'admin')])), [alice.peerId], 'admins name no admins')
  t.same(namesOf(standing([admin, membership(bob, alice), membership(carol, bob)])).length, 2, 'peers admit nobody')
  t.same(namesOf(standing([membership(bob, alice)], [], now, { ...root, admins: [alice.peerId] })).length, 2, "the manifest's admins do")
  t.equal(standing([]).refusal({ kind: 'membership', of: membership(bob, alice, 'admin') }), 'not-allowed')
  t.equal(standing([]).refusal({ kind: 'membership', of: membership(bob, alice) }), 'unknown-issuer')
})

t.test('the founder revokes anyone; an admin revokes peers, but no admins; what a revoked admin signed ends with it', async (t) => {
  const held = [membership(alice, founder, 'admin'), membership(bob, founder, 'admin'), membership(carol, alice)]
  t.same(namesOf(standing(held, [revocation(bob, alice)])).length, 3, 'an admin does not revoke another')
  t.same(namesOf(standing(held, [revocation(carol, bob)])).length, 2)
  t.same(namesOf(standing(held, [revocation(carol, carol)])).length, 3)
  t.same(namesOf(standing(held, [revocation(alice, founder)])), [bob.peerId], 'with alice go those whom she let in')
  const [byBob, ofBob] = [revocation(carol, bob), revocation(bob, founder)]
  t.same(namesOf(standing(held, [byBob, ofBob])).includes(carol.peerId), true, 'and what she revoked')
  const after = standing(held, [ofBob])
  t.equal(after.refusal({ kind: 'revocation', of: byBob }), 'revoked')
  t.equal(after.refusal({ kind: 'membership', of: held[1]! }), 'revoked')
  t.equal(standing([]).refusal({ kind: 'revocation', of: byBob }), 'unknown-issuer')
  const early = standing([held[0]!, membership(bob, founder)], [revocation(bob, alice)])
  t.equal(early.refusal({ kind: 'membership', of: held[1]! }), undefined, 'the founder may name whom an admin has revoked')
})

t.test('memberships end where they say so, an hour late, and never by a clock from before this network', async (t) => {
  const ends = membership(bob, founder, 'peer', { expiresAt: now })
  t.same(namesOf(standing([ends], [], now + EXPIRY_TOLERANCE)), [bob.peerId])
  t.same(namesOf(standing([ends], [], now + EXPIRY_TOLERANCE + 1)), [])
  t.equal(standing([], [], now + EXPIRY_TOLERANCE + 1).refusal({ kind: 'membership', of: ends }), 'expired')
  t.notOk(hasEnded(5, 60), 'in 1970 nothing has ended')
  const admin = membership(alice, founder, 'admin', { expiresAt: now })
  const [peer, gone] = [membership(bob, alice), revocation(carol, alice)]
  const held = [admin, peer, membership(carol, founder)]
  const [over, late] = [now + 1, now + 2 * EXPIRY_TOLERANCE]
  t.same(
    namesOf(standing(held, [gone], late)),
    [carol.peerId],
    "what an admin signed ends with it, whatever time it wrote: its key is nobody's now",
  )
  t.equal(standing(held, [], late).refusal({ kind: 'revocation', of: gone }), 'expired')
  t.same([...standing(held, [gone]).lapsing], [], 'as long as it is an admin nobody need do anything')
  for (const at of [over, late]) t.same([...standing(held, [gone], at).lapsing], [carol.peerId], 'others are to revoke anew')
  t.ok(standing(held, [gone], over).revoked.has(carol.peerId), 'in the hour of tolerance it still counts')
  for (const by of [founder, bob]) {
    const more = [...held, ...(by === bob ? [membership(bob, founder, 'admin')] : [])]
    const anew = standing(more, [gone, revocation(carol, by)], late)
    t.notOk(anew.members.has(carol.peerId))
    t.same([...anew.lapsing], [])
  }
  t.same([...standing(held, [gone, revocation(alice, founder)], late).lapsing], [], 'but not what a revoked admin signed')
  t.same(
    [alice, bob, founder].map(({ peerId }) => standing(held, [], over).lasts(peerId)),
    [false, false, true],
  )
  t.equal(standing([admin, peer]).members.get(bob.peerId)?.expiresAt, now)
})

t.test('the same certificates make the same members, in whatever order they come', async () => {
  const people = [alice, bob, carol, signerOf('dave')]
  const person = fc.constantFrom(...people)
  const certificate = fc.oneof(
    fc.record({
      kind: fc.constant('membership' as const),
      of: fc
        .tuple(person, fc.constantFrom(founder, ...people), fc.constantFrom('peer', 'admin'), fc.constantFrom(undefined, now - 9e6, now))
        .map(([of, by, role, expiresAt]) => membership(of, by, role as 'peer', expiresAt === undefined ? {} : { expiresAt })),
    }),
    fc.record({
      kind: fc.constant('revocation' as const),
      of: fc.tuple(person, fc.constantFrom(founder, ...people)).map(([of, by]) => revocation(of, by)),
    }),
  )
  /** Offers what is refused again, as others do, until nothing more is taken. */
  const gather = (offered: Parameters<ReturnType<typeof standing>['refusal']>[0][]) => {
    const held = { memberships: [] as ReturnType<typeof membership>[], revocations: [] as ReturnType<typeof revocation>[] }
    let rest = offered
    for (let taken = true; taken; ) {
      taken = false
      rest = rest.filter((next) => {
        if (standingOf(held, root, now).refusal(next) !== undefined) return true
        if (next.kind === 'membership') held.memberships.push(next.of)
        else held.revocations.push(next.of)
        taken = true
        return false
      })
    }
    const { members, revoked } = standingOf(held, root, now)
    return JSON.stringify([[...members].map(([peer, { role, expiresAt }]) => [peer, role, expiresAt]).sort(), [...revoked].sort()])
  }
  fc.assert(
    fc.property(
      fc
        .array(certificate, { maxLength: 12 })
        .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
      ([one, other]) => gather(one) === gather(other),
    ),
    { numRuns: 1000 },
  )
})

t.test('whatever the key of an admin of old signs, and whatever time it writes, changes nobody', async () => {
  const people = [bob, carol, signerOf('dave')]
  const held = fc.tuple(
    fc.array(fc.tuple(fc.constantFrom(...people), fc.constantFrom(founder, ...people), fc.constantFrom('peer', 'admin')), { maxLength: 8 }),
    fc.array(fc.tuple(fc.constantFrom(...people), fc.constantFrom(founder, ...people)), { maxLength: 4 }),
  )
  const late = fc.array(fc.tuple(fc.constantFrom(...people), fc.integer({ min: 1, max: now + 1e6 })), { minLength: 1, maxLength: 4 })
  const over = membership(alice, founder, 'admin', { expiresAt: now - 2 * EXPIRY_TOLERANCE })
  fc.assert(
    fc.property(held, late, ([admitted, out], signed) => {
      const memberships = [over, ...admitted.map(([of, by, role]) => membership(of, by, role as 'peer'))]
      const revocations = out.map(([of, by]) => revocation(of, by))
      const more = signed.map(([of, issuedAt]) => sealRevocation({ key: of.publicKey, issuedAt }, task, alice))
      const [before, after] = [standing(memberships, revocations), standing(memberships, [...revocations, ...more])]
      const told = more.every((of) => before.refusal({ kind: 'revocation', of }) !== undefined)
      return told && namesOf(before).join() === namesOf(after).join() && [...before.revoked].join() === [...after.revoked].join()
    }),
    { numRuns: 300 },
  )
})
