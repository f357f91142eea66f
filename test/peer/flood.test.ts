// Floods: cheap for who is flooded, held against who makes them, and never against who passed on what it had no reason to refuse.
import fc from 'fast-check'
import t from 'tap'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { createMemberBook } from '../../node/peer/member-book.ts'
import type { Network, Signer } from '../../node/ports.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { createVerifier } from '../../node/store/verify.ts'
import { sealAddresses } from '../../protocol/addresses.ts'
import { encodeAnnouncement, encodeRecord } from '../../protocol/gossip.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { sealMembership, sealRevocation } from '../../protocol/membership.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { REJECTIONS } from '../../protocol/rejections.ts'
import { hexOf } from '../../protocol/task.ts'
import { sealUpdate } from '../../protocol/update.ts'
import { keepAlive } from '../helpers/alive.ts'
import { busNetwork } from '../helpers/bus-peers.ts'
import { sha256, signerOf } from '../helpers/keys.ts'

keepAlive(t)
t.setTimeout(120_000)

/** Small, so that a few messages are a flood. */
const limits = LIMITS as { -readonly [K in keyof typeof LIMITS]: number }
const SMALL = { messagesPerSecond: 2, messagesBurst: 12, recordsPerSecond: 1, recordsBurst: 6 }
const { messagesPerSecond, messagesBurst, recordsPerSecond, recordsBurst } = LIMITS
t.beforeEach(() => void Object.assign(limits, SMALL))
t.afterEach(() => void Object.assign(limits, { messagesPerSecond, messagesBurst, recordsPerSecond, recordsBurst }))

const verify = createVerifier()
const AUTHORS = ['m1', 'm2', 'm3'].map(signerOf)
const MEMBERS = ['h', 'v', 'x', 'm1', 'm2', 'm3']
const payload = new Uint8Array(16)
const ref = { hash: payloadRoot(payload, sha256), length: payload.length, codec: 'float32' }

/** A network by invitation whose rounds do not begin. */
function world() {
  const clock = createVirtualClock(1_800_000_000_000)
  const pace = { minPeers: 9, staleness: 2, gatherMinSeconds: 1, gatherMaxSeconds: 5, absentAfterSeconds: 3600 }
  const network = busNetwork({ pace, stop: { never: true }, admission: { mode: 'invite', admins: [] } }, 4, clock)
  const { task } = network
  const founder = signerOf('founder')
  const admin = signerOf('admin')

  /** A member, not over the bus: what it is handed, and whom it blames. */
  async function member(name: string) {
    const store = memoryStore()
    const book = await createMemberBook({ task, store, verify, clock })
    const admit = (who: Signer, role: 'peer' | 'admin') =>
      book.take({ kind: 'membership', envelope: sealMembership({ key: who.publicKey, role, issuedAt: 1 }, task.id, founder).envelope })
    admit(admin, 'admin')
    for (const each of MEMBERS) admit(signerOf(each), 'peer')
    const blamed: string[] = []
    let checks = 0
    let handlers: Parameters<Network['subscribe']>[1] | undefined
    const peer = await network.add(name, { store, members: book }, (parts) => ({
      ...parts,
      verify(...proof) {
        checks++
        return verify(...proof)
      },
      network: {
        ...parts.network,
        blame: (who) => void blamed.push(who),
        subscribe: async (_, given) => {
          handlers = given
        },
      },
    }))
    const seen = new Set<string>()
    return {
      ...peer,
      blamed,
      checks: () => checks,
      /** As gossipsub does: each message once. */
      async hand(message: Uint8Array, from: string) {
        const id = hexOf(handlers!.messageId(message))
        if (seen.has(id)) return 'seen'
        seen.add(id)
        return await handlers!.validate(message, from)
      },
    }
  }

  /** Messages that differ each time: `count` is never the same twice. */
  const kinds = {
    newer: (by: Signer, count: number) => announce(by, count),
    older: (by: Signer, count: number) => announce(by, 1_000_000 - count),
    forged: (by: Signer, count: number) => announce({ ...by, sign: () => new Uint8Array(64).fill(count) }, count),
    stranger: (_: Signer, count: number) => announce(signerOf(`stranger ${count}`), 1),
    inlineThatDoesNotFit(by: Signer, count: number) {
      const { envelope } = sealUpdate({ round: count, payload: ref, final: false }, task.id, by)
      return encodeAnnouncement(envelope, new Uint8Array(3))
    },
    garbage: (_: Signer, count: number) => Uint8Array.of(1, 2, 3, count, count >> 8),
    addresses: (by: Signer, count: number) =>
      encodeRecord({ kind: 'addresses', envelope: sealAddresses({ sequence: count, addresses: [] }, task.id, by).envelope }),
    membership: (_: Signer, count: number) =>
      encodeRecord({
        kind: 'membership',
        envelope: sealMembership({ key: signerOf('x').publicKey, role: 'peer', issuedAt: 1000 + count }, task.id, admin).envelope,
      }),
    revocation: (_: Signer, count: number) =>
      encodeRecord({
        kind: 'revocation',
        envelope: sealRevocation({ key: signerOf('someone').publicKey, issuedAt: 1_000_000 - count }, task.id, admin).envelope,
      }),
  }
  const announce = (by: Signer, round: number, final = false) =>
    encodeAnnouncement(sealUpdate({ round, payload: ref, final }, task.id, by).envelope, payload)
  return { clock, network, member, kinds, announce }
}

type Kind = keyof ReturnType<typeof world>['kinds']

t.test(
  'whatever attackers send, to whom, when: a member is never blamed for what it passes on, and what it says of its own still counts',
  async (t) => {
    const kinds = Object.keys(world().kinds) as Kind[]
    const step = fc.record({
      kind: fc.constantFrom(...kinds),
      by: fc.nat(AUTHORS.length - 1),
      times: fc.integer({ min: 1, max: 8 }),
      to: fc.constantFrom('h', 'v', 'both'),
      after: fc.constantFrom(0, 0, 0, 100, 3000),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 16 }), async (steps) => {
        const { clock, member, kinds, announce } = world()
        const [h, v] = [await member('h'), await member('v')]
        let count = 0
        for (const { kind, by, times, to, after } of steps) {
          if (after > 0) await clock.advance(after)
          for (let i = 0; i < times; i++) {
            const message = kinds[kind](AUTHORS[by]!, ++count)
            const sender = AUTHORS[by]!.peerId
            if (to !== 'h') await v.hand(message, sender)
            if (to !== 'v' && (await h.hand(message, sender)) === 'accept') await v.hand(message, h.network.self)
          }
        }
        // One that does not age: the attackers may have led the others to far rounds.
        const verdict = await v.hand(announce(signerOf('h'), 1, true), h.network.self)
        await Promise.all([h.stop(), v.stop()])
        return verdict === 'accept' && !v.blamed.includes(h.network.self)
      }),
      { numRuns: 20 },
    )
    t.pass()
  },
)

t.test('a flood costs few signature checks, and soon its sender is blamed, not the one it names', async (t) => {
  const { member, kinds, announce } = world()
  const mallory = signerOf('m1')
  for (const kind of ['forged', 'stranger', 'garbage', 'newer', 'addresses'] as const) {
    const v = await member('v')
    // What is older than this is known without a look at its signature.
    await v.hand(announce(signerOf('x'), 1_000_000), signerOf('x').peerId)
    const before = v.checks()
    const most = SMALL.messagesBurst + 2 * SMALL.recordsBurst + 5
    for (let i = 1; v.blamed.length < 5; i++) {
      if (i > most + 5) t.fail(`${kind}: not blamed for ${i} messages`)
      await v.hand(kinds[kind](kind === 'forged' ? signerOf('x') : mallory, i), mallory.peerId)
    }
    t.same(new Set(v.blamed), new Set([mallory.peerId]), kind)
    t.ok(v.checks() - before <= 2 * SMALL.recordsBurst, `${kind}: ${v.checks() - before} checks`)
    t.ok(v.events.some((event) => event.type === 'rejected' && REJECTIONS[event.code].fault === 'forwarder'))
    await v.stop()
  }
})

t.test('an update that gossip does not take, as its author signs too many, comes by the state exchange', async (t) => {
  // Of each author one is taken from gossip, and no more; a message that was ignored is not delivered again.
  Object.assign(limits, { recordsPerSecond: 0, recordsBurst: 1 })
  const clock = createVirtualClock(1_800_000_000_000)
  const pace = { minPeers: 3, staleness: 2, gatherMinSeconds: 1, gatherMaxSeconds: 30, absentAfterSeconds: 3600 }
  const network = busNetwork({ pace, byzantineShare: 0, stop: { never: true } }, 4, clock)
  const peers = await Promise.all(['a', 'b', 'c'].map((name) => network.add(name)))
  for (let i = 0; i < 100 && peers.some(({ peer }) => peer.status().round < 6); i++) await clock.advance(1000)
  for (const { name, peer, events } of peers) {
    t.ok(peer.status().round >= 6, `${name} is in round ${peer.status().round}`)
    t.ok(events.some((event) => event.type === 'rejected' && event.code === 'too-often'))
    const inputs = events.flatMap((event) => (event.type === 'aggregated' ? [event.inputs.length] : []))
    t.ok(
      inputs.every((count) => count === 3),
      `${name} aggregated ${inputs.join(', ')} models`,
    )
  }
  for (const peer of peers) await peer.stop()
})
