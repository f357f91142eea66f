// Vectors of certificates (who is a member, and because of what) and of members' addresses.
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { Domain } from '../../protocol/envelope.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { AddressesSchema, InviteSchema, MembershipSchema, RedemptionSchema, RevocationSchema, Role } from '../../protocol/wire_pb.ts'
import { bytesField, hexOf, joined, sealed, sha256, signerOf, unsigned, utf8, type VectorFile, varintField } from './kit.ts'

const TASK = sha256(utf8('a task'))
const OTHER_TASK = sha256(utf8('another task'))
/** 2026-11-24, in seconds. */
const NOW = 1_795_500_000
const HOUR = 3600

const keyOf = (name: string): Uint8Array => signerOf(name).publicKey
const idOf = (name: string): string => signerOf(name).peerId

const encoder =
  <D extends DescMessage>(schema: D) =>
  (fields: MessageInitShape<D>): Uint8Array =>
    toBinary(schema, create(schema, fields))

/** Cases of one kind: `change` replaces fields of a good one. */
function kindOf<F extends object>(domain: Domain, encode: (fields: F) => Uint8Array, good: F, signer: string) {
  const envelopeOf = (change: Partial<F> = {}, by = signer) => sealed(domain, encode({ ...good, ...change }), by)
  const given = (why: string, envelope: Uint8Array) => ({ why, task: hexOf(TASK), envelope: hexOf(envelope) })
  return {
    envelopeOf,
    valid: (why: string, change: Partial<F>, gives: object, by = signer) => ({ ...given(why, envelopeOf(change, by)), gives }),
    refused: (why: string, change: Partial<F>, code: string) => ({ ...given(why, envelopeOf(change)), refused: code }),
    bare: (why: string, envelope: Uint8Array, code: string) => ({ ...given(why, envelope), refused: code }),
    common: () => [
      { ...given('unsigned', unsigned(domain, encode(good), signer)), refused: 'bad-signature' },
      { ...given('signed for another domain', sealed('murmuration-update', encode(good), signer)), refused: 'malformed' },
      { ...given('signed bytes that are no message', sealed(domain, Uint8Array.of(0xff), signer)), refused: 'malformed' },
      { ...given('one byte above the limit of a record', new Uint8Array(LIMITS.recordBytes + 1)), refused: 'too-large' },
    ],
    unknownField: (why: string, gives: object) => ({
      ...given(why, sealed(domain, joined(encode(good), varintField(15, 3)), signer)),
      gives,
    }),
  }
}

const membership = kindOf(
  'murmuration-membership',
  encoder(MembershipSchema),
  {
    task: TASK,
    key: keyOf('alice'),
    role: Role.PEER as Role,
    issuedAt: BigInt(NOW),
    expiresAt: 0n,
    invite: new Uint8Array() as Uint8Array,
  },
  'founder',
)
const revocation = kindOf(
  'murmuration-revocation',
  encoder(RevocationSchema),
  { task: TASK, key: keyOf('alice'), issuedAt: BigInt(NOW) },
  'founder',
)
const invite = kindOf(
  'murmuration-invite',
  encoder(InviteSchema),
  { task: TASK, key: keyOf('invite'), role: Role.PEER as Role, uses: 1, expiresAt: 0n, memberSeconds: 0n },
  'founder',
)
const redemption = kindOf(
  'murmuration-redemption',
  encoder(RedemptionSchema),
  { task: TASK, key: keyOf('alice'), nonce: Uint8Array.from({ length: 16 }, (_, i) => i) },
  'invite',
)

export function memberships(): VectorFile {
  const gives = { subject: idOf('alice'), issuer: idOf('founder'), role: 'peer', issuedAt: NOW }
  const { valid, refused, common, unknownField } = membership
  return {
    about:
      'Memberships: the task and an envelope in; whom it makes a member, who signed it, role and times in seconds since 1970 out. No expiresAt: never; no invite: none was redeemed.',
    cases: [
      valid('of a peer, for ever', {}, gives),
      valid('of an admin', { role: Role.ADMIN }, { ...gives, role: 'admin' }),
      valid(
        'for a day, by an invite',
        { expiresAt: BigInt(NOW + 24 * HOUR), invite: keyOf('invite') },
        { ...gives, expiresAt: NOW + 24 * HOUR, invite: hexOf(keyOf('invite')) },
      ),
      valid('whether the signer may sign it is not seen here', {}, { ...gives, issuer: idOf('mallory') }, 'mallory'),
      unknownField('an unknown field inside the signed bytes is ignored', gives),
      refused('signed for another task', { task: OTHER_TASK }, 'wrong-task'),
      refused('a role of a later version', { role: 7 as Role }, 'malformed'),
      refused('a key of 35 bytes', { key: keyOf('alice').subarray(1) }, 'malformed'),
      refused('a key of another kind', { key: joined(Uint8Array.of(8, 2), keyOf('alice').subarray(2)) }, 'malformed'),
      refused('an invite that is no key', { invite: Uint8Array.of(1) }, 'malformed'),
      refused('a time beyond 2^53', { expiresAt: 2n ** 60n }, 'malformed'),
      ...common(),
    ],
  }
}

export function revocations(): VectorFile {
  const gives = { subject: idOf('alice'), issuer: idOf('founder'), issuedAt: NOW }
  const { valid, refused, common, unknownField } = revocation
  return {
    about: 'Revocations: the task and an envelope in; whose membership (or which invite) ends, who signed it, and when, out.',
    cases: [
      valid('of a member', {}, gives),
      valid('of an invite', { key: keyOf('invite') }, { ...gives, subject: idOf('invite') }),
      unknownField('an unknown field inside the signed bytes is ignored', gives),
      refused('signed for another task', { task: OTHER_TASK }, 'wrong-task'),
      refused('no key', { key: new Uint8Array() }, 'malformed'),
      refused('a time beyond 2^53', { issuedAt: 2n ** 63n }, 'malformed'),
      ...common(),
    ],
  }
}

export function invites(): VectorFile {
  const gives = { subject: idOf('invite'), issuer: idOf('founder'), role: 'peer', uses: 1 }
  const { valid, refused, common } = invite
  return {
    about: 'Invites: the task and an envelope in; its key as a peer id, its issuer, and what it gives out.',
    cases: [
      valid('for one peer, for ever', {}, gives),
      valid(
        'for twenty, for a week, with memberships of a month',
        { uses: 20, expiresAt: BigInt(NOW + 7 * 24 * HOUR), memberSeconds: BigInt(30 * 24 * HOUR) },
        { ...gives, uses: 20, expiresAt: NOW + 7 * 24 * HOUR, memberSeconds: 30 * 24 * HOUR },
      ),
      valid('for an admin', { role: Role.ADMIN }, { ...gives, role: 'admin' }),
      refused('for nobody', { uses: 0 }, 'malformed'),
      refused('for more than the limit', { uses: LIMITS.inviteUses + 1 }, 'malformed'),
      refused('signed for another task', { task: OTHER_TASK }, 'wrong-task'),
      ...common(),
    ],
  }
}

export function redemptions(): VectorFile {
  const gives = { subject: idOf('alice'), issuer: idOf('invite'), nonce: hexOf(Uint8Array.from({ length: 16 }, (_, i) => i)) }
  const { valid, refused, common } = redemption
  return {
    about:
      "Redemptions: the task and an envelope in; who is to become a member, the invite's key (which signed it) as a peer id, and the nonce out.",
    cases: [
      valid('signed with the key of the invite', {}, gives),
      refused('a nonce of 15 bytes', { nonce: new Uint8Array(15) }, 'malformed'),
      refused('signed for another task', { task: OTHER_TASK }, 'wrong-task'),
      refused('no key', { key: new Uint8Array() }, 'malformed'),
      ...common(),
    ],
  }
}

/** A membership and a revocation in short: who is named, by whom. */
const names = (subject: string, by: string, change: { role?: Role; expiresAt?: bigint } = {}) =>
  hexOf(membership.envelopeOf({ key: keyOf(subject), ...change }, by))
const admin = { role: Role.ADMIN }
const revokes = (subject: string, by: string) => hexOf(revocation.envelopeOf({ key: keyOf(subject) }, by))

/** What is expected is written down here, not computed. */
export function chains(): VectorFile {
  const one = (
    why: string,
    memberships: string[],
    revocations: string[],
    members: Record<string, 'peer' | 'admin'>,
    revoked: string[] = [],
    more: { now?: number; admins?: string[] } = {},
  ) => ({
    why,
    task: hexOf(TASK),
    founder: idOf('founder'),
    admins: (more.admins ?? []).map(idOf),
    now: more.now ?? NOW,
    memberships,
    revocations,
    gives: {
      members: Object.fromEntries(Object.entries(members).map(([name, role]) => [idOf(name), role])),
      revoked: revoked.map(idOf),
    },
  })
  const ended = { expiresAt: BigInt(NOW - 2 * HOUR) }
  return {
    about:
      'Who is a member: the founder, the admins that the manifest names, and certificates, in any order, in; members with their roles, and the revoked, out. `now` is in seconds since 1970.',
    cases: [
      one('nobody is named', [], [], {}),
      one('the founder names a peer and an admin', [names('alice', 'founder'), names('admin', 'founder', admin)], [], {
        alice: 'peer',
        admin: 'admin',
      }),
      one('an admin names a peer', [names('bob', 'admin'), names('admin', 'founder', admin)], [], { bob: 'peer', admin: 'admin' }),
      one('an admin that the manifest names', [names('bob', 'admin')], [], { bob: 'peer', admin: 'admin' }, [], { admins: ['admin'] }),
      one('an admin cannot name an admin', [names('admin', 'founder', admin), names('bob', 'admin', admin)], [], { admin: 'admin' }),
      one('a peer can name nobody', [names('alice', 'founder'), names('bob', 'alice')], [], { alice: 'peer' }),
      one('a stranger can name nobody', [names('bob', 'mallory'), names('mallory', 'mallory', admin)], [], {}),
      one('the founder revokes a peer', [names('alice', 'founder')], [revokes('alice', 'founder')], {}, ['alice']),
      one(
        'a revocation is for ever: a new membership does not undo it',
        [names('alice', 'founder'), names('alice', 'founder', { expiresAt: BigInt(NOW + HOUR) })],
        [revokes('alice', 'founder')],
        {},
        ['alice'],
      ),
      one(
        'an admin revokes a peer, also one that the founder named',
        [names('admin', 'founder', admin), names('alice', 'founder')],
        [revokes('alice', 'admin')],
        { admin: 'admin' },
        ['alice'],
      ),
      one(
        'an admin cannot revoke an admin',
        [names('admin', 'founder', admin), names('carol', 'founder', admin)],
        [revokes('carol', 'admin')],
        { admin: 'admin', carol: 'admin' },
      ),
      one('a peer can revoke nobody', [names('alice', 'founder'), names('bob', 'founder')], [revokes('bob', 'alice')], {
        alice: 'peer',
        bob: 'peer',
      }),
      one(
        'with a revoked admin goes what it signed, its revocations too',
        [names('admin', 'founder', admin), names('bob', 'admin'), names('alice', 'founder')],
        [revokes('admin', 'founder'), revokes('alice', 'admin')],
        { alice: 'peer' },
        ['admin'],
      ),
      one('a membership that has ended', [names('alice', 'founder', ended)], [], {}),
      one('an hour of tolerance', [names('alice', 'founder', { expiresAt: BigInt(NOW - HOUR) })], [], { alice: 'peer' }),
      one('one second beyond it', [names('alice', 'founder', { expiresAt: BigInt(NOW - HOUR - 1) })], [], {}),
      one('a clock of 1970 ends nothing', [names('alice', 'founder', { expiresAt: 1n })], [], { alice: 'peer' }, [], { now: 100_000 }),
      one(
        'what an ended admin named has ended, and what it revoked',
        [names('admin', 'founder', { ...admin, ...ended }), names('bob', 'admin'), names('alice', 'founder')],
        [revokes('alice', 'admin')],
        { alice: 'peer' },
        [],
      ),
    ],
  }
}

const addressList = kindOf(
  'murmuration-addresses',
  encoder(AddressesSchema),
  { task: TASK, sequence: 1_795_500_000_000n, addresses: ['/ip4/192.0.2.7/tcp/4001', '/dns4/a.example/tcp/443'] },
  'alice',
)

export function addresses(): VectorFile {
  const gives = { author: idOf('alice'), sequence: 1_795_500_000_000, addresses: ['/ip4/192.0.2.7/tcp/4001', '/dns4/a.example/tcp/443'] }
  const { valid, refused, bare, common, unknownField } = addressList
  const many = Array.from({ length: LIMITS.addresses }, (_, i) => `/ip4/192.0.2.${i}/tcp/1`)
  return {
    about:
      "Members' addresses: the task and an envelope in; author, sequence and addresses, as given, out. Whether one can be dialled is not seen here.",
    cases: [
      valid('two addresses', {}, gives),
      valid('none: it cannot be dialled', { addresses: [] }, { ...gives, addresses: [] }),
      valid('as many as there may be', { addresses: many }, { ...gives, addresses: many }),
      unknownField('an unknown field inside the signed bytes is ignored', gives),
      refused('one more', { addresses: [...many, '/ip4/192.0.2.9/tcp/1'] }, 'malformed'),
      refused('an address above its limit', { addresses: [`/dns4/${'a'.repeat(LIMITS.addressBytes)}/tcp/1`] }, 'malformed'),
      refused('an empty address', { addresses: [''] }, 'malformed'),
      refused('a control character', { addresses: ['/ip4/192.0.2.7/tcp/1\u001b[2J'] }, 'malformed'),
      refused('a character that is not ASCII', { addresses: ['/dns4/é.example/tcp/1'] }, 'malformed'),
      refused('sequence 0', { sequence: 0n }, 'malformed'),
      refused('a sequence beyond 2^53', { sequence: 2n ** 60n }, 'malformed'),
      bare(
        'text that is not UTF-8',
        sealed('murmuration-addresses', joined(bytesField(1, TASK), varintField(2, 1), bytesField(3, Uint8Array.of(0xff))), 'alice'),
        'malformed',
      ),
      refused('signed for another task', { task: OTHER_TASK }, 'wrong-task'),
      ...common(),
    ],
  }
}
