// The flooder: far more messages and requests than an honest peer sends. The first ones are such that nobody can be blamed for one of
// them, ever new addresses of its own and what a newer version might send: it is their number that must be noticed. Garbage follows.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { sealAddresses } from '../../protocol/addresses.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { HASH_BYTES } from '../../protocol/payload.ts'
import { topicOf } from '../../protocol/task.ts'
import { GossipSchema, PayloadRequestSchema } from '../../protocol/wire_pb.ts'
import { PAYLOAD_PROTOCOL } from '../host/payload-exchange.ts'
import type { PeerParts } from '../peer/parts.ts'
import type { Network } from '../ports.ts'

/** Milliseconds between two volleys. */
const VOLLEY_MILLIS = 100
/** Messages before the first garbage: enough to use up what one neighbour may send at once, with as much again. */
const BLAMELESS = 2 * LIMITS.messagesBurst
/** One in so many of them is signed, which costs others a check. */
const SIGNED_EVERY = 8
/** Of the messages, requests are this share; and as many are under way at most. */
const REQUEST_SHARE = 0.25
const REQUESTS_UNDER_WAY = 256
/** Tag of a field of 32 bits that no message has. */
const UNKNOWN_FIELD = (15 << 3) | 5

/** Begins once the peer has announced an update of its own, and ends with the network. */
export function flooding({ network, clock, random, task, signer }: PeerParts, perSecond: number): Network {
  const topic = topicOf(task)
  /** The newest own record. */
  let record: Uint8Array | undefined
  let sent = 0
  let volleyAt = 0
  let underWay = 0

  const encode = (body: NonNullable<MessageInitShape<typeof GossipSchema>['body']>): Uint8Array =>
    toBinary(GossipSchema, create(GossipSchema, { body }))

  /** The message with something behind it that a newer version may know, so that it is another one for gossip. */
  function renewed(message: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(message.length + 5)
    bytes.set(message)
    bytes[message.length] = UNKNOWN_FIELD
    new DataView(bytes.buffer).setUint32(message.length + 1, sent)
    return bytes
  }

  /** The good record with another signature each time, none of them right. */
  function forged(envelope: Uint8Array): Uint8Array {
    const bytes = envelope.slice()
    new DataView(bytes.buffer).setUint32(bytes.length - 4, sent)
    return bytes
  }

  function next(envelope: Uint8Array): Uint8Array {
    sent++
    if (sent <= BLAMELESS) {
      if (sent % SIGNED_EVERY !== 0) return renewed(new Uint8Array())
      const mine = { sequence: Math.floor(clock.wall()) + sent, addresses: network.addresses() }
      return encode({ case: 'addresses', value: sealAddresses(mine, task.id, signer).envelope })
    }
    switch (sent % 3) {
      case 0:
        return random.bytes(300)
      case 1:
        return encode({ case: 'announcement', value: { record: forged(envelope) } })
      default:
        return renewed(encode({ case: 'evidence', value: { first: envelope, second: envelope } }))
    }
  }

  /** Asks everyone in turn for what nobody holds. */
  function ask(): void {
    const peers = network.connections()
    const peer = peers[sent % Math.max(1, peers.length)]
    if (peer === undefined || underWay >= REQUESTS_UNDER_WAY) return
    const request = { task: task.id, hash: random.bytes(HASH_BYTES), part: { case: 'hashList', value: true } as const }
    underWay++
    network
      .request(peer, PAYLOAD_PROTOCOL, toBinary(PayloadRequestSchema, create(PayloadRequestSchema, request)))
      .catch(() => {})
      .finally(() => underWay--)
  }

  async function volley(): Promise<void> {
    // What a busy machine kept it from sending is made up for.
    const messages = Math.min(perSecond, Math.ceil((perSecond * (clock.now() - volleyAt)) / 1000))
    volleyAt = clock.now()
    for (let i = 0; i < messages; i++) {
      try {
        await network.publish(topic, next(record!))
      } catch (error) {
        if (isMurmurError(error, 'cancelled')) return
      }
      if (random.bytes(1)[0]! < 256 * REQUEST_SHARE) ask()
    }
    clock.after(VOLLEY_MILLIS, volley)
  }

  return {
    ...network,
    async publish(to, message) {
      const { body } = fromBinary(GossipSchema, message)
      const begins = record === undefined
      if (body.case === 'announcement') record = body.value.record
      const recipients = await network.publish(to, message)
      if (begins && record !== undefined) {
        volleyAt = clock.now()
        clock.after(VOLLEY_MILLIS, volley)
      }
      return recipients
    },
  }
}
