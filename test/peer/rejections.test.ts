// Every reason for which something is not taken: sent to a live peer, which counts it under its name and goes on with its rounds.
// A reason without a case fails.
import t from 'tap'
import type { PeerEvent } from '../../node/events.ts'
import { createPayloadExchange, PAYLOAD_PROTOCOL } from '../../node/host/payload-exchange.ts'
import { RECORDS_PROTOCOL } from '../../node/peer/exchange.ts'
import type { PeerParts } from '../../node/peer/parts.ts'
import type { Network, Signer } from '../../node/ports.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { sealAddresses } from '../../protocol/addresses.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { encodeAnnouncement, encodeEvidence, encodeRecord } from '../../protocol/gossip.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { type Role, sealMembership, sealRevocation } from '../../protocol/membership.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { REJECTIONS, type RejectionCode } from '../../protocol/rejections.ts'
import { encodeSigned } from '../../protocol/signed.ts'
import { hexOf, topicOf } from '../../protocol/task.ts'
import { sealUpdate } from '../../protocol/update.ts'
import { keepAlive } from '../helpers/alive.ts'
import { type BusPeer, busNetwork } from '../helpers/bus-peers.ts'
import { sha256, signerOf } from '../helpers/keys.ts'

keepAlive(t)

const SIZE = 4
const network = busNetwork({
  // All who send something become members of this open network; the honest ones must still be enough.
  byzantineShare: 100,
  pace: { minPeers: 4, staleness: 2, gatherMinSeconds: 0.02, gatherMaxSeconds: 0.2, absentAfterSeconds: 3600 },
  stop: { rounds: 1_000_000 },
})
const topic = topicOf(network.task)
const founder = signerOf('founder')
/** 2025: has ended, whatever day it is. */
const LONG_AGO = 1_750_000_000

const payload = (value: number): Uint8Array => codecOf('float32').encode(new Float32Array(SIZE).fill(value))
const refOf = (bytes: Uint8Array) => ({ hash: payloadRoot(bytes, sha256), length: bytes.length, codec: 'float32' })

/** Bytes under one field number of a message: of a page of records, or of a kind that no version has yet. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  const { length } = bytes
  return Uint8Array.of((number << 3) | 2, ...(length < 128 ? [length] : [(length & 127) | 128, length >> 7]), ...bytes)
}

/** Someone with a key and a connection, who may send what it likes. */
class Mallory {
  readonly signer: Signer
  readonly network: Network

  constructor(name: string) {
    this.signer = signerOf(name)
    this.network = network.bus.network(this.signer.peerId)
  }

  async arrive(): Promise<void> {
    await this.network.start()
    await this.network.subscribe(topic, { validate: () => 'ignore', messageId: sha256 })
  }

  gossip(message: Uint8Array): Promise<number> {
    return this.network.publish(topic, message)
  }

  update(change: { round?: number; final?: boolean; bytes?: Uint8Array; task?: Uint8Array } = {}): Uint8Array {
    const { round = 1, final = false, bytes = payload(1), task = network.task.id } = change
    return sealUpdate({ round, final, payload: refOf(bytes) }, task, this.signer).envelope
  }

  /** An update whose payload rides along. */
  tell(bytes: Uint8Array, change: { round?: number; final?: boolean } = {}): Promise<number> {
    return this.gossip(encodeAnnouncement(this.update({ ...change, bytes, final: true }), bytes))
  }

  membership(subject: string, by: Signer, change: { role?: Role; expiresAt?: number } = {}): Promise<number> {
    const { role = 'peer', expiresAt } = change
    const body = { key: signerOf(subject).publicKey, role, issuedAt: LONG_AGO, expiresAt }
    return this.gossip(encodeRecord({ kind: 'membership', envelope: sealMembership(body, network.task.id, by).envelope }))
  }

  revocation(subject: string): Promise<number> {
    const body = { key: signerOf(subject).publicKey, issuedAt: LONG_AGO }
    return this.gossip(encodeRecord({ kind: 'revocation', envelope: sealRevocation(body, network.task.id, founder).envelope }))
  }

  addresses(sequence: number): Promise<number> {
    const { envelope } = sealAddresses({ sequence, addresses: [] }, network.task.id, this.signer)
    return this.gossip(encodeRecord({ kind: 'addresses', envelope }))
  }
}

interface World {
  mallory: Mallory
  victim: BusPeer
  /** The victim has refused something of Mallory's for this reason. */
  refused(code: RejectionCode): Promise<unknown>
  /** The hex root of a payload that the victim's disk damages. */
  damage(root: string): void
}

/** `arrive: false`: Mallory comes when the case says so. */
const CASES: Record<RejectionCode, { arrive?: false; send(world: World): Promise<unknown> }> = {
  malformed: { send: ({ mallory }) => mallory.gossip(Uint8Array.of(1, 2, 3)) },
  'too-large': { send: ({ mallory }) => mallory.gossip(encodeAnnouncement(new Uint8Array(LIMITS.recordBytes + 1), payload(1))) },
  'bad-signature': {
    send({ mallory }) {
      const unsigned = { ...mallory.signer, sign: () => new Uint8Array(64) }
      const { envelope } = sealUpdate({ round: 1, final: false, payload: refOf(payload(1)) }, network.task.id, unsigned)
      return mallory.gossip(encodeAnnouncement(envelope, payload(1)))
    },
  },
  'bad-inline': { send: ({ mallory }) => mallory.gossip(encodeAnnouncement(mallory.update({ final: true }), payload(2))) },
  'wrong-task': { send: ({ mallory }) => mallory.gossip(encodeAnnouncement(mallory.update({ task: sha256(payload(1)) }), payload(1))) },
  'wrong-version': { send: ({ mallory }) => mallory.gossip(field(15, payload(1))) },
  own: {
    send({ mallory, victim }) {
      const self = signerOf(victim.name)
      const { envelope } = sealUpdate({ round: 1, final: true, payload: refOf(payload(3)) }, network.task.id, self)
      return mallory.gossip(encodeAnnouncement(envelope, payload(3)))
    },
  },
  duplicate: {
    arrive: false,
    async send({ mallory, refused }) {
      // First told when asked, then gossiped. Its payload is not to be had, which says that the first has been taken in.
      const envelope = mallory.update({ final: true, bytes: payload(11) })
      mallory.network.serve(RECORDS_PROTOCOL, async () => field(1, encodeSigned({ kind: 'update', envelope })))
      await mallory.arrive()
      await refused('unavailable')
      await mallory.gossip(encodeAnnouncement(envelope, payload(11)))
    },
  },
  'stale-round': {
    async send({ mallory }) {
      await mallory.tell(payload(1), { round: 5 })
      await mallory.tell(payload(1), { round: 4 })
    },
  },
  'future-round': { send: ({ mallory }) => mallory.tell(payload(1), { round: 1_000_000 }) },
  'not-a-member': {
    async send({ mallory }) {
      await mallory.revocation('mallory not-a-member')
      const messenger = new Mallory('messenger')
      await messenger.arrive()
      await messenger.gossip(encodeAnnouncement(mallory.update(), payload(1)))
    },
  },
  revoked: {
    async send({ mallory }) {
      await mallory.revocation('someone')
      await mallory.membership('someone', founder)
    },
  },
  expired: { send: ({ mallory }) => mallory.membership('former', founder, { expiresAt: LONG_AGO }) },
  'unknown-issuer': { send: ({ mallory }) => mallory.membership('friend', mallory.signer) },
  'not-allowed': { send: ({ mallory }) => mallory.membership('friend', mallory.signer, { role: 'admin' }) },
  'stale-sequence': {
    async send({ mallory }) {
      await mallory.addresses(2)
      await mallory.addresses(1)
    },
  },
  flood: {
    async send({ mallory, refused }) {
      let isOver = false
      refused('flood').finally(() => {
        isOver = true
      })
      const number = (i: number) => Uint8Array.of(i, i >> 8, i >> 16)
      for (let i = 0; !isOver; i++) {
        await mallory.gossip(field(15, number(i)))
        if (i % 512 === 511) await new Promise((done) => setTimeout(done))
      }
    },
  },
  'too-often': {
    async send({ mallory, refused }) {
      let isOver = false
      refused('too-often').finally(() => {
        isOver = true
      })
      for (let i = 1; !isOver; i++) {
        await mallory.tell(payload(1), { round: i })
        if (i % 128 === 0) await new Promise((done) => setTimeout(done))
      }
    },
  },
  full: {
    async send({ mallory }) {
      const admins = ['one', 'two', 'three', 'four', 'five']
      for (const name of admins) await mallory.membership(name, founder, { role: 'admin' })
      for (const name of admins) await mallory.membership('popular', signerOf(name))
    },
  },
  'shut-out': {
    async send({ mallory }) {
      await mallory.tell(payload(1))
      await mallory.tell(payload(2))
      await mallory.tell(payload(3), { round: 2 })
    },
  },
  'bad-ref': {
    send: ({ mallory }) => mallory.gossip(encodeAnnouncement(mallory.update({ bytes: new Uint8Array(20) }), new Uint8Array(20))),
  },
  'bad-evidence': { send: ({ mallory }) => mallory.gossip(encodeEvidence(mallory.update(), mallory.update())) },
  'wrong-length': {
    send({ mallory, damage }) {
      damage(hexOf(refOf(payload(7)).hash))
      return mallory.tell(payload(7))
    },
  },
  'not-finite': { send: ({ mallory }) => mallory.tell(payload(Number.NaN)) },
  'out-of-bounds': { send: ({ mallory }) => mallory.tell(payload(1e7)) },
  'bad-chunk': {
    send({ mallory }) {
      mallory.network.serve(PAYLOAD_PROTOCOL, async () => field(1, new Uint8Array(32)))
      return mallory.gossip(encodeAnnouncement(mallory.update({ final: true, bytes: payload(12) }), new Uint8Array()))
    },
  },
  unavailable: {
    send: ({ mallory }) => mallory.gossip(encodeAnnouncement(mallory.update({ final: true, bytes: payload(13) }), new Uint8Array())),
  },
}

t.test('each reason has a case, and a live peer survives all of them and counts each', async (t) => {
  t.same(Object.keys(CASES).sort(), Object.keys(REJECTIONS).sort())
  const store = memoryStore()
  const damaged = new Set<string>()
  const chunks: PeerEvent[] = []
  /** As launch.ts sets it up, on a disk that loses the end of some files. */
  const watched = (parts: PeerParts): PeerParts => ({
    ...parts,
    exchange: createPayloadExchange({
      ...{ ...parts, task: parts.task.id },
      onBadChunk(from) {
        parts.network.blame(from)
        chunks.push({ type: 'rejected', code: 'bad-chunk', from })
      },
    }),
  })
  const lossy = { ...store, getObject: async (root: string) => (await store.getObject(root))?.subarray(damaged.has(root) ? 1 : 0) }
  const [victim, ...others] = await Promise.all(
    ['a', 'b', 'c', 'd'].map((name, i) => network.add(name, i === 0 ? { store: lossy } : {}, i === 0 ? watched : undefined)),
  )
  await victim!.event('aggregated')

  for (const code of Object.keys(REJECTIONS) as RejectionCode[]) {
    const { arrive = true, send } = CASES[code]
    const mallory = new Mallory(`mallory ${code}`)
    const id = mallory.signer.peerId
    const refused = (code: RejectionCode) =>
      victim!.event('rejected', (event) => event.code === code && (event.author === id || event.from === id))
    if (arrive) await mallory.arrive()
    await send({ mallory, victim: victim!, refused, damage: (root) => void damaged.add(root) })
    if (code === 'bad-chunk') await refused('unavailable')
    else await refused(code)
    t.ok(code !== 'bad-chunk' || chunks.length > 0, `${code} is counted`)
    const { round } = victim!.peer.status()
    await victim!.event('aggregated', (event) => event.round > round)
    t.pass(`and the peer goes on after round ${round}`)
    await mallory.network.stop()
  }

  const { members } = victim!.peer.status()
  for (const { name, network } of others) {
    const known = members.find(({ peer }) => peer === network.self)
    t.match(known, { present: true, shutOut: false }, `${name} is held in no worse esteem`)
  }
  for (const peer of [victim!, ...others]) await peer.stop()
})
