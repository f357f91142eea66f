// Requests and answers full of nonsense: a live peer answers every one of them, or refuses in one clean sentence, and goes on; and a
// peer that is answered with nonsense says so and is none the worse.
import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { createPayloadExchange, PAYLOAD_PROTOCOL } from '../../node/host/payload-exchange.ts'
import { createAdmission } from '../../node/peer/admission.ts'
import { systemClock } from '../../node/peer/clock.ts'
import { RECORDS_PROTOCOL } from '../../node/peer/exchange.ts'
import { createMemberBook } from '../../node/peer/member-book.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { encodeJoinRequest, encodeTaskRequest, JOIN_PROTOCOL, TASK_PROTOCOL } from '../../protocol/join.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { sealInvite, sealMembership, sealRedemption } from '../../protocol/membership.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { encodeSigned, signedMessage } from '../../protocol/signed.ts'
import { PayloadRequestSchema, PayloadResponseSchema, RecordsRequestSchema, RecordsResponseSchema } from '../../protocol/wire_pb.ts'
import { keepAlive } from '../helpers/alive.ts'
import { busNetwork } from '../helpers/bus-peers.ts'
import { changed, HUGE, hostile } from '../helpers/hostile-bytes.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'

keepAlive(t)

const network = busNetwork({ admission: { mode: 'invite', admins: [signerOf('a').peerId] } })
const { task } = network
const founder = signerOf('founder')
const hash = payloadRoot(new Uint8Array(16), sha256)

/** Of someone who is a member, so that nothing is refused before it is read. */
const membership = (name: string) => sealMembership({ key: signerOf(name).publicKey, role: 'peer', issuedAt: 1 }, task.id, founder).envelope
const proof = {
  invite: sealInvite({ key: signerOf('invite').publicKey, role: 'peer', uses: 1 }, task.id, founder).envelope,
  redemption: sealRedemption({ key: signerOf('mallory').publicKey, nonce: new Uint8Array(16) }, task.id, signerOf('invite')).envelope,
  membership: membership('mallory'),
}

const payloadRequest = (part: { case: 'hashList' | 'have'; value: boolean } | { case: 'chunk'; value: number }) =>
  toBinary(PayloadRequestSchema, create(PayloadRequestSchema, { task: task.id, hash, part }))

const REQUESTS: Record<string, Uint8Array[]> = {
  [TASK_PROTOCOL]: [encodeTaskRequest(proof)],
  [JOIN_PROTOCOL]: [encodeJoinRequest(task.id, proof)],
  [RECORDS_PROTOCOL]: [
    toBinary(RecordsRequestSchema, create(RecordsRequestSchema, { task: task.id, digests: new Uint8Array(80), starting: false })),
  ],
  [PAYLOAD_PROTOCOL]: [
    payloadRequest({ case: 'hashList', value: true }),
    payloadRequest({ case: 'chunk', value: 0 }),
    payloadRequest({ case: 'have', value: true }),
  ],
}

t.test('whatever is asked is answered, or refused in one clean line', async (t) => {
  const store = memoryStore()
  await store.putObject(Buffer.from(hash).toString('hex'), new Uint8Array(16))
  const members = await createMemberBook({ task, store, verify: verifier, clock: systemClock })
  members.take({ kind: 'membership', envelope: membership('mallory') })
  const peer = await network.add('a', { store, members })
  const admission = await createAdmission({
    ...{ network: peer.network, task, book: members, signer: signerOf('a'), founder: undefined, store, clock: systemClock },
    ...{ random: { bytes: (count: number) => new Uint8Array(count) }, verify: verifier, round: () => 0, tell: () => {} },
  })
  admission.serve()
  const mallory = network.bus.network(signerOf('mallory').peerId)
  await mallory.start()

  for (const [protocol, valid] of Object.entries(REQUESTS)) {
    const ask = async (body: Uint8Array): Promise<boolean> => {
      try {
        return (await mallory.request(peer.network.self, protocol, body)).length <= LIMITS.responseBytes
      } catch (error) {
        if (!isMurmurError(error, 'peer-refused')) throw error
        // A defect would be refused in just these words.
        if (error.message === 'the request could not be answered') throw error
        return !/\p{C}/u.test(error.message) && error.message.length <= 300
      }
    }
    for (const body of valid) t.ok(await ask(body), `${protocol} knows its own requests`)
    await fc.assert(fc.asyncProperty(hostile(valid), ask), { numRuns: 150, seed: 4 })
    for (const huge of HUGE) {
      const lying = valid.map((body) => changed(body, [{ how: 'overwrite', at: 1, bytes: Uint8Array.from(huge) }]))
      for (const body of lying) t.ok(await ask(body))
    }
    t.ok(await ask(new Uint8Array(LIMITS.requestBytes).fill(0x0b)), 'groups that never end')
  }
  t.equal(peer.peer.status().phase, 'waiting', 'the peer is as it was')
  await mallory.stop()
  await peer.stop()
})

t.test('a source that answers nonsense delivers nothing, and the pull says so', async () => {
  const puller = network.bus.network(signerOf('puller').peerId)
  const mallory = network.bus.network(signerOf('mallory').peerId)
  await Promise.all([puller.start(), mallory.start()])
  let answer: Uint8Array = new Uint8Array()
  mallory.serve(PAYLOAD_PROTOCOL, async () => answer)
  const valid = [sha256(new Uint8Array(16)), new Uint8Array(16)].map((bytes) =>
    toBinary(PayloadResponseSchema, create(PayloadResponseSchema, { bytes })),
  )
  await fc.assert(
    fc.asyncProperty(hostile(valid), async (bytes) => {
      answer = bytes
      // Anew each time: who has sent nonsense before is not asked any more.
      const exchange = createPayloadExchange({ network: puller, store: memoryStore(), task: task.id, hash: sha256, clock: systemClock })
      try {
        const payload = await exchange.pull({ hash, length: 16, codec: 'float32' }, () => [mallory.self])
        return Buffer.from(payload).equals(Buffer.alloc(16))
      } catch (error) {
        return isMurmurError(error, 'peer-unreachable')
      }
    }),
    { numRuns: 200, seed: 4 },
  )
  await Promise.all([puller.stop(), mallory.stop()])
})

t.test('a member that answers the state exchange with nonsense changes nothing', async (t) => {
  const members = await createMemberBook({ task, store: memoryStore(), verify: verifier, clock: systemClock })
  for (const name of ['b', 'mallory']) members.take({ kind: 'membership', envelope: membership(name) })
  const page = [
    encodeSigned({ kind: 'membership', envelope: membership('mallory') }),
    encodeSigned({ kind: 'update', envelope: proof.invite }),
  ]
  const records = [
    signedMessage({ kind: 'membership', envelope: membership('mallory') }),
    signedMessage({ kind: 'update', envelope: proof.invite }),
  ]
  const valid = [...page, toBinary(RecordsResponseSchema, create(RecordsResponseSchema, { records, more: true, twin: false }))]
  const peer = await network.add('b', { members })
  const before = members.members().length
  let asked = 0
  for (const bytes of fc.sample(hostile(valid), { numRuns: 30, seed: 4 })) {
    const mallory = network.bus.network(signerOf('mallory').peerId)
    const answered = Promise.withResolvers<void>()
    mallory.serve(RECORDS_PROTOCOL, async () => {
      asked++
      answered.resolve()
      return bytes
    })
    await mallory.start()
    await mallory.subscribe(`/murmuration/1/${task.hex}`, { validate: () => 'ignore', messageId: sha256 })
    await answered.promise
    await mallory.stop()
  }
  t.ok(asked >= 30)
  t.equal(members.members().length, before)
  t.match(peer.peer.status(), { phase: 'waiting', round: 0 })
  await peer.stop()
})
