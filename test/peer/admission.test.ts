// Joining by invitation, over the in-memory bus: invites are counted, passed on, ended; nobody else is told anything.
import t, { type Test } from 'tap'
import { createBus } from '../../node/lab/bus.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { type Admission, createAdmission } from '../../node/peer/admission.ts'
import { becomeMember, proofOf } from '../../node/peer/become-member.ts'
import { systemClock } from '../../node/peer/clock.ts'
import { fetchTask } from '../../node/peer/fetch-task.ts'
import { introduceTo } from '../../node/peer/introduction.ts'
import { keptInvite } from '../../node/peer/join-lines.ts'
import { createMemberBook, type MemberBook } from '../../node/peer/member-book.ts'
import { takeRoster } from '../../node/peer/roster.ts'
import { keepUp } from '../../node/peer/upkeep.ts'
import type { Clock, Network, Signer } from '../../node/ports.ts'
import { signerOfSeed } from '../../node/store/identity.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { decodeJoinResponse, encodeJoinRequest, JOIN_PROTOCOL, NO_PROOF, type Proof, TASK_PROTOCOL } from '../../protocol/join.ts'
import { sealMembership } from '../../protocol/membership.ts'
import { createPrng } from '../../protocol/prng.ts'
import { keepAlive } from '../helpers/alive.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'
import { taskOf } from '../helpers/task.ts'

const task = taskOf({ admission: { mode: 'invite', admins: [] } })
const founder = signerOf('founder')
const prng = createPrng('admission')
const random = { bytes: (count: number) => Uint8Array.from({ length: count }, () => prng.int(256)) }
const hour = () => Math.floor(Date.now() / 1000) + 3600
type Store = ReturnType<typeof memoryStore>

interface Someone {
  signer: Signer
  network: Network
  book: MemberBook
  admission: Admission
  /** From now on it lets others in, and only members near. */
  open(): void
}

keepAlive(t)

function scene(t: Test) {
  const members: Someone[] = []
  const bus = createBus({ clock: systemClock })
  const add = async (name: string, { store = memoryStore(), clock = systemClock, key = false } = {}): Promise<Someone> => {
    const signer = signerOf(name)
    const network = bus.network(signer.peerId)
    await network.start()
    const book = await createMemberBook({ task, store, verify: verifier, clock })
    const admission = await createAdmission({
      ...{ network, task, book, signer, founder: key ? founder : undefined, store, clock, random, verify: verifier },
      round: () => 7,
      tell: (certificate) => {
        for (const other of members) if (other.network.connections().includes(signer.peerId)) other.book.take(certificate)
      },
    })
    t.teardown(() => network.stop())
    const member: Someone = {
      ...{ signer, network, book, admission },
      open() {
        admission.serve()
        network.admit(admission.gate)
        members.push(member)
      },
    }
    return member
  }
  /** A founder that is an admin, and serves. */
  const found = async (change: { store?: Store; clock?: Clock } = {}) => {
    const first = await add('alice', { ...change, key: true })
    if (first.book.roleOf(first.signer.peerId) === undefined) await first.admission.admit(first.signer.publicKey, 'admin')
    first.open()
    return first
  }
  return { bus, add, found }
}

const join = (one: Someone, proof: Proof, by: Someone[], more: { signal?: AbortSignal; onProgress?: (text: string) => void } = {}) =>
  becomeMember(
    proof,
    by.map(({ signer }) => signer.peerId),
    Promise.resolve(),
    { network: one.network, task, book: one.book, signal: new AbortController().signal, onProgress() {}, ...more },
  )
const proofFor = (one: { signer: Signer }, line: Parameters<typeof proofOf>[0]) => proofOf(line, task.id, one.signer, random)
const ask = (one: { network: Network }, of: Someone, proof: Proof) =>
  one.network.request(of.signer.peerId, JOIN_PROTOCOL, encodeJoinRequest(task.id, proof))

t.test('an invite tells the task and makes a member, who is told of the others and of the round', async (t) => {
  const { add, found } = scene(t)
  const alice = await found()
  const bob = await add('bob')
  const line = await alice.admission.invite({ uses: 1, role: 'peer', expiresAt: hour() })
  const parts = { network: bob.network, verify: verifier, hash: sha256, signal: new AbortController().signal, onProgress() {} }
  const told = await fetchTask({ addresses: [] }, proofFor(bob, line), [alice.signer.peerId], parts)
  t.equal(told.hex, task.hex)
  t.equal(await join(bob, proofFor(bob, line), [alice]), 7)
  t.ok(bob.book.isMember(bob.signer.peerId))
  t.equal(bob.book.roleOf(alice.signer.peerId), 'admin')
  t.ok(alice.book.isMember(bob.signer.peerId))
})

t.test('without an invite, or with one that is not for them, strangers are told nothing', async (t) => {
  const { add, found } = scene(t)
  const alice = await found()
  const [bob, eve] = [await add('bob'), await add('eve')]
  const line = await alice.admission.invite({ uses: 1, role: 'peer' })
  const none = { message: /^this network admits by invitation/ }
  await t.rejects(eve.network.request(alice.signer.peerId, TASK_PROTOCOL, new Uint8Array()), none)
  await t.rejects(join(eve, NO_PROOF, [alice]), {
    code: 'not-admitted',
    message: new RegExp(`your peer id is ${eve.signer.peerId}: ask an admin for .murmur invite --peer ${eve.signer.peerId}`),
  })
  await t.rejects(ask(eve, alice, proofFor(bob, line)), { message: /none of this network/ }, "another's redemption, overheard")
  await t.rejects(ask(eve, alice, { ...proofFor(bob, line), invite: new Uint8Array(5) }), { message: /none of this network/ })
  // Each is answered only now and then.
  const mallory = await add('mallory')
  const forged = proofFor(mallory, { invite: line.invite, key: random.bytes(32) })
  await t.rejects(ask(mallory, alice, forged), { message: /none of this network/ }, 'the invite without its key')
  await t.rejects(mallory.network.request(alice.signer.peerId, JOIN_PROTOCOL, random.bytes(50)), { code: 'peer-refused' })
  t.equal(alice.book.members().length, 1)
})

t.test('an invite is used as often as it says, on disk before it is answered; the same peer gets the same answer again', async (t) => {
  const { add, found } = scene(t)
  const store = memoryStore()
  const alice = await found({ store })
  const [bob, carol] = [await add('bob'), await add('carol')]
  const line = await alice.admission.invite({ uses: 1, role: 'peer' })
  const answer = await ask(bob, alice, proofFor(bob, line))
  await t.rejects(join(carol, proofFor(carol, line), [alice]), { code: 'invite-spent', message: /used up/ })
  t.strictSame(await ask(bob, alice, proofFor(bob, line)), answer)

  await alice.book.flush()
  await alice.network.stop()
  const again = await found({ store })
  await t.rejects(join(carol, proofFor(carol, line), [again]), { code: 'invite-spent' }, 'also after a restart')
  t.strictSame(await ask(bob, again, proofFor(bob, line)), answer)
})

t.test('a use that cannot be written was not given: it is there again, also for whoever asks a second time', async (t) => {
  const { add, found } = scene(t)
  let isFull = false
  const disk = memoryStore()
  const store: Store = {
    ...disk,
    async saveDocument(name, bytes) {
      if (isFull) throw new MurmurError('disk-failed', 'The disk is full.')
      await disk.saveDocument(name, bytes)
    },
  }
  const alice = await found({ store })
  const [bob, carol] = [await add('bob'), await add('carol')]
  const line = await alice.admission.invite({ uses: 1, role: 'peer' })
  isFull = true
  await t.rejects(alice.admission.invite({ uses: 1, role: 'peer' }), { code: 'disk-failed' })
  await t.rejects(ask(bob, alice, proofFor(bob, line)), { message: /^the request could not be answered$/ }, 'and no path of hers')
  await t.rejects(ask(bob, alice, proofFor(bob, line)), { message: /could not be answered/ })
  t.notOk(alice.book.isMember(bob.signer.peerId))
  isFull = false
  await join(carol, proofFor(carol, line), [alice])
  t.ok(alice.book.isMember(carol.signer.peerId))
})

t.test('who asks for the roster again and again is answered without it', async (t) => {
  const { add, found } = scene(t)
  const alice = await found()
  const bob = await add('bob')
  await alice.admission.admit(bob.signer.publicKey, 'peer')
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask(bob, alice, NO_PROOF)))
  const rosters = answers.map(decodeJoinResponse).filter((answer) => answer !== 'malformed' && answer.roster.length > 0)
  t.equal(rosters.length, 4)
})

t.test('a stranger that answers with garbage for a roster costs a few checks of signatures, not thousands', (t) => {
  const mallory = signerOf('mallory')
  const forged = Array.from({ length: 500 }, (_, i) => {
    const { envelope } = sealMembership({ key: signerOf(`forged ${i}`).publicKey, role: 'peer', issuedAt: 1 }, task.id, mallory)
    return { kind: 'membership' as const, envelope }
  })
  const taken: string[] = []
  const book = { take: () => taken[taken.push('unknown-issuer') - 1] as 'unknown-issuer' }
  takeRoster(book, forged)
  t.equal(taken.length, 32)
  t.end()
})

t.test('of many at once no more than its uses get in', async (t) => {
  const { add, found } = scene(t)
  const alice = await found()
  const line = await alice.admission.invite({ uses: 3, role: 'peer' })
  const joiners = await Promise.all(Array.from({ length: 8 }, (_, i) => add(`joiner ${i}`)))
  const joined = await Promise.allSettled(joiners.map((one) => join(one, proofFor(one, line), [alice])))
  t.equal(joined.filter(({ status }) => status === 'fulfilled').length, 3)
  t.equal(alice.book.members().length, 4)
})

t.test('members pass a redemption on to its issuer; while that is away the joiner waits, and is told for whom', async (t) => {
  const { bus, add, found } = scene(t)
  const alice = await found()
  const [bob, carol] = [await add('bob'), await add('carol')]
  await join(bob, proofFor(bob, await alice.admission.invite({ uses: 1, role: 'peer' })), [alice])
  bob.open()
  const line = await alice.admission.invite({ uses: 1, role: 'peer' })
  bus.cut(alice.signer.peerId, carol.signer.peerId)
  bus.cut(alice.signer.peerId, bob.signer.peerId)
  const waited = Promise.withResolvers<string>()
  const joining = join(carol, proofFor(carol, line), [bob], { onProgress: waited.resolve })
  t.match(await waited.promise, new RegExp(`the issuer of the invite is not reachable now .…${alice.signer.peerId.slice(-8)}`))
  bus.heal()
  bus.cut(alice.signer.peerId, carol.signer.peerId)
  await joining
  t.ok(carol.book.isMember(carol.signer.peerId))
  t.ok(bob.book.isMember(carol.signer.peerId), 'who passed it on knows it too')
  const stopping = new AbortController()
  const dave = await add('dave')
  bus.cut(alice.signer.peerId, bob.signer.peerId)
  bus.cut(alice.signer.peerId, dave.signer.peerId)
  const never = join(dave, proofFor(dave, line), [bob], { signal: stopping.signal, onProgress: () => stopping.abort() })
  await t.rejects(never, { code: 'cancelled' }, 'waiting can be ended')
})

t.test('ended invites are refused: expired, revoked, or by an admin that was revoked', async (t) => {
  const { add, found } = scene(t)
  const alice = await found()
  const [bob, carol] = [await add('bob'), await add('carol')]
  const admin = await alice.admission.invite({ uses: 1, role: 'admin' })
  await join(bob, proofFor(bob, admin), [alice])
  t.equal(bob.book.roleOf(bob.signer.peerId), 'admin')
  bob.open()
  await t.rejects(bob.admission.invite({ uses: 1, role: 'admin' }), { code: 'not-allowed', message: /founder.key/ })
  const expired = await alice.admission.invite({ uses: 1, role: 'peer', expiresAt: hour() - 3 * 3600 })
  await t.rejects(ask(carol, alice, proofFor(carol, expired)), { message: /^the invite has expired/ })
  const line = await bob.admission.invite({ uses: 9, role: 'peer' })
  await join(carol, proofFor(carol, line), [bob])
  const dave = await add('dave')
  await alice.admission.revoke([bob.signer.publicKey])
  t.notOk(alice.book.isMember(bob.signer.peerId))
  t.notOk(alice.book.isMember(carol.signer.peerId), 'with the admin end those whom it let in')
  await t.rejects(ask(dave, alice, proofFor(dave, line)), { message: /^the invite was revoked/ })
  const own = await alice.admission.invite({ uses: 9, role: 'peer' }, true)
  const { invite } = alice.admission.printed()!
  t.strictSame(invite, own.invite)
  await alice.admission.revoke([signerOfSeed(own.key).publicKey])
  await t.rejects(ask(dave, alice, proofFor(dave, own)), { message: /^the invite was revoked/ })
  t.equal(alice.admission.printed(), undefined)
})

t.test('when an admin is revoked the founder takes over what it had revoked, unless told not to', async (t) => {
  for (const restore of [false, true]) {
    const { add, found } = scene(t)
    const alice = await found()
    const bob = await add('bob')
    const carol = signerOf('carol')
    await join(bob, proofFor(bob, await alice.admission.invite({ uses: 1, role: 'admin' })), [alice])
    bob.open()
    await alice.admission.admit(carol.publicKey, 'peer')
    await bob.admission.revoke([carol.publicKey])
    t.notOk(alice.book.isMember(carol.peerId))
    await alice.admission.revoke([bob.signer.publicKey], restore)
    t.equal(alice.book.isMember(carol.peerId), restore)
    t.equal(bob.book.isMember(carol.peerId), restore)
  }
})

t.test('whom an admin has admitted by its id joins with any line, or none', async (t) => {
  const { add, found } = scene(t)
  const alice = await found()
  const [bob, carol] = [await add('bob'), await add('carol')]
  await alice.admission.admit(bob.signer.publicKey, 'peer')
  t.equal(await join(bob, NO_PROOF, [alice]), 7)
  const membership = await alice.admission.admit(carol.signer.publicKey, 'peer', 3600)
  await join(carol, proofFor(carol, { membership }), [alice])
  t.ok(carol.book.members().find(({ peer }) => peer === carol.signer.peerId)?.expiresAt)
})

t.test('a member that was away is shown the memberships of those who connect; one that was revoked is shown why', async (t) => {
  const { bus, add, found } = scene(t)
  const alice = await found()
  const [bob, carol] = [await add('bob'), await add('carol')]
  await join(bob, proofFor(bob, await alice.admission.invite({ uses: 1, role: 'peer' })), [alice])
  bob.open()
  bus.partition([[bob.signer.peerId]])
  await join(carol, proofFor(carol, await alice.admission.invite({ uses: 1, role: 'peer' })), [alice])
  carol.open()
  t.notOk(bob.book.isMember(carol.signer.peerId))
  const learned = new Promise<void>((done) => {
    bob.book.subscribe(({ peer, member }) => {
      if (peer === carol.signer.peerId && member) done()
    })
  })
  t.teardown(introduceTo({ network: carol.network, task, book: carol.book, clock: systemClock, named: [] }))
  bus.heal()
  await learned

  bus.partition([[carol.signer.peerId]])
  await alice.admission.revoke([carol.signer.publicKey])
  const out = new Promise<string>((done) => {
    carol.book.subscribe(({ peer, member, why }) => {
      if (peer === carol.signer.peerId && !member) done(why)
    })
  })
  bus.heal()
  t.equal(await out, 'revoked')
  t.notOk(carol.book.records().some(({ envelope }) => envelope === bob.book.membershipOf(bob.signer.peerId)))
})

t.test('who fell with the admin that had let it in is shown why, wherever it was, and however it comes back', async (t) => {
  const { bus, add, found } = scene(t)
  const alice = await found()
  const [bob, carol, dave] = [await add('bob'), await add('carol'), await add('dave')]
  await join(bob, proofFor(bob, await alice.admission.invite({ uses: 1, role: 'admin' })), [alice])
  bob.open()
  await join(carol, proofFor(carol, await bob.admission.invite({ uses: 1, role: 'peer' })), [bob])
  const line = { membership: await bob.admission.admit(dave.signer.publicKey, 'peer') }
  carol.open()
  const fall = { ended: [carol, dave].map(({ signer }) => signer.peerId), back: [] }
  t.same(alice.admission.consequences([bob.signer.publicKey]), fall, 'known before')
  bus.partition([[carol.signer.peerId], [dave.signer.peerId]])
  await alice.admission.revoke([bob.signer.publicKey])
  t.ok(carol.book.isMember(carol.signer.peerId))
  const fallen = new Promise<void>((done) => {
    carol.book.subscribe(({ peer, member }) => {
      if (peer === carol.signer.peerId && !member) done()
    })
  })
  t.teardown(introduceTo({ network: carol.network, task, book: carol.book, clock: systemClock, named: [] }))
  bus.heal()
  await fallen
  await t.rejects(join(dave, proofFor(dave, line), [alice]), { code: 'not-admitted', message: /the membership was taken back/ })
})

t.test('a membership is shown to members and to whom the user named; whoever else is connected learns nothing from it', async (t) => {
  const { add, found } = scene(t)
  const alice = await found()
  const [bob, eve, named] = [await add('bob'), await add('eve'), await add('named')]
  await join(bob, proofFor(bob, await alice.admission.invite({ uses: 1, role: 'peer' })), [alice])
  const shown: string[] = []
  const told = Promise.withResolvers<void>()
  for (const one of [eve, named, alice]) {
    one.network.serve(JOIN_PROTOCOL, async () => {
      shown.push(one.signer.peerId)
      if (shown.length === 2) told.resolve()
      throw new MurmurError('peer-refused', 'busy')
    })
  }
  const clock = createVirtualClock()
  const stop = introduceTo({ network: bob.network, task, book: bob.book, clock, named: [named.signer.peerId] })
  await clock.advance(10_000)
  await told.promise
  stop()
  t.ok(bob.network.connections().includes(eve.signer.peerId))
  t.same([...new Set(shown)].sort(), [alice, named].map(({ signer }) => signer.peerId).sort())
})

t.test(
  'an admin that runs revokes anew whom another had revoked whose time is over, and gives out a new line for one that is no more good',
  async (t) => {
    const { add, found } = scene(t)
    const clock = createVirtualClock(Date.now())
    const alice = await found({ clock })
    const bob = await add('bob', { clock })
    const carol = signerOf('carol')
    const hours = (count: number) => count * 3600
    await alice.admission.admit(carol.publicKey, 'peer')
    await alice.admission.admit(bob.signer.publicKey, 'admin', hours(24))
    for (const record of alice.book.records()) bob.book.take(record)
    bob.open()
    await bob.admission.revoke([carol.publicKey])
    t.notOk(alice.book.isMember(carol.peerId))
    const said: string[] = []
    const parts = { admission: alice.admission, book: alice.book, self: alice.signer.peerId, clock }
    await keptInvite(alice.admission, alice.book, alice.signer.peerId, clock.wall())
    const first = alice.admission.printed()!
    const stop = keepUp({ ...parts, onLine: (why) => said.push(why), onWarning: (error) => t.fail(error.message) })
    await clock.advance(hours(24.5) * 1000)
    t.same(alice.book.revokedBy(founder.peerId), [carol.publicKey], 'signed with the key of the founder')
    await clock.advance(hours(2) * 1000)
    t.notOk(alice.book.isMember(bob.signer.peerId))
    t.notOk(alice.book.isMember(carol.peerId))
    t.same(said, [])

    await clock.advance(hours(7 * 24) * 1000)
    t.match(said, [/the line that this peer gave out has expired; others join with a new line/])
    const second = alice.admission.printed()!
    t.not(second.invite, first.invite)
    await alice.admission.revoke([signerOfSeed(second.key).publicKey])
    await clock.advance(120_000)
    t.match(said[1], /was revoked/)
    t.equal(said.length, 2, 'each once')
    t.equal(alice.admission.printed()?.left, 20)
    stop()
    await clock.advance(1)
    await alice.book.close()
    t.equal(clock.pending(), 0)
  },
)

t.test('with a clock in 1970 nothing is given an end; without one it works', async (t) => {
  const { found } = scene(t)
  const alice = await found({ clock: { ...systemClock, wall: () => 60_000 } })
  await t.rejects(alice.admission.invite({ uses: 1, role: 'peer', expiresAt: 99 }), { code: 'bad-argument', message: /says 1970/ })
  await t.rejects(alice.admission.admit(signerOf('bob').publicKey, 'peer', 99), { code: 'bad-argument', message: /says 1970/ })
  await alice.admission.admit(signerOf('bob').publicKey, 'peer')
  t.ok(alice.book.isMember(signerOf('bob').peerId))
})

t.test('a file of invites that is damaged is one clear sentence', async (t) => {
  for (const bytes of ['', '{', '{"version":2,"invites":[]}', '{"version":1,"invites":[{"invite":"AAAA","uses":[]}]}']) {
    const store = memoryStore()
    await store.saveDocument('invites', Buffer.from(bytes))
    await t.rejects(scene(t).found({ store }), { code: 'directory-invalid', message: /"invites" is damaged/ })
  }
})
