// Peers that break the protocol, for test tasks: what others get from them is made at the ports, so that the product's own code stays honest.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { codecOf } from '../../protocol/codec/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { chunkOf, hashList, payloadRoot } from '../../protocol/payload.ts'
import { hexOf } from '../../protocol/task.ts'
import { openUpdate, sealUpdate } from '../../protocol/update.ts'
import { GossipSchema, PayloadRequestSchema, PayloadResponseSchema } from '../../protocol/wire_pb.ts'
import { PAYLOAD_PROTOCOL } from '../host/payload-exchange.ts'
import type { PeerParts } from '../peer/parts.ts'
import type { Network } from '../ports.ts'
import type { BoundAttack } from './attacks/types.ts'
import { ATTACKS, parseNamed } from './attacks.ts'
import { flooding } from './flood.ts'

interface Misbehaviour {
  description: string
  scale: number
  /** The parts of an honest peer, some of them corrupted. */
  corrupt(parts: PeerParts, scale: number): PeerParts
  /** What it trains on instead of its own data. */
  poison?: BoundAttack['poison']
}

/** Milliseconds for which a request is left unanswered: longer than anyone waits. */
const STALL_MILLIS = 120_000

export const MISBEHAVIOURS: Record<string, Misbehaviour> = {
  equivocate: {
    description: 'signs two updates of each round and publishes both',
    scale: 1,
    corrupt: (parts, scale) => ({ ...parts, network: equivocating(parts, scale) }),
  },
  flood: {
    description: 'publishes so many messages a second, garbage after a while, and sends requests',
    scale: 400,
    corrupt: (parts, scale) => ({ ...parts, network: flooding(parts, scale) }),
  },
  withhold: { description: 'announces updates and leaves every request for a payload unanswered', scale: 1, corrupt: withholding },
  'bad-chunks': { description: 'answers requests for payloads with wrong bytes', scale: 1, corrupt: corrupting },
  ...Object.fromEntries(
    Object.entries(ATTACKS).map(([name, { description, scale, forge, poison }]) => [
      name,
      {
        description,
        scale,
        poison,
        corrupt: (parts: PeerParts, given: number): PeerParts => ({
          ...parts,
          forge: (honest) => forge(honest, given, parts.network.self),
        }),
      },
    ]),
  ),
}

/** A peer's parts, misbehaving as `NAME[:SCALE]` says. @throws bad-argument */
export function misbehaving(parts: PeerParts, text: string): PeerParts {
  const { scale, entry } = parseNamed(text, MISBEHAVIOURS)
  return entry.corrupt(parts, scale)
}

/** Every own update is told together with another of the same round, a model of one value; which comes first changes from round to round. */
function equivocating({ network, task, signer, store, hash, verify }: PeerParts, value: number): Network {
  const codec = codecOf(task.manifest.codec)
  const rules = { task: task.id, codec: codec.name, length: task.exchanged, verify }

  async function contradiction(message: Uint8Array): Promise<{ second: Uint8Array; round: number } | undefined> {
    const { body } = fromBinary(GossipSchema, message)
    const update = body.case === 'announcement' ? openUpdate(body.value.record, rules) : undefined
    if (body.case !== 'announcement' || typeof update !== 'object' || update.author !== network.self) return undefined
    const payload = codec.encode(new Float32Array(task.exchanged).fill(value))
    const root = payloadRoot(payload, hash)
    await store.putObject(hexOf(root), payload)
    const ref = { hash: root, length: payload.length, codec: codec.name }
    const { envelope } = sealUpdate({ round: update.round, payload: ref, final: update.final }, task.id, signer)
    const inline = body.value.inline.length > 0 ? payload : new Uint8Array()
    const announcement = { ...body.value, record: envelope, inline }
    return {
      second: toBinary(GossipSchema, create(GossipSchema, { body: { case: 'announcement', value: announcement } })),
      round: update.round,
    }
  }

  return {
    ...network,
    async publish(topic, message) {
      const other = await contradiction(message)
      if (other === undefined) return network.publish(topic, message)
      const pair = other.round % 2 === 0 ? [message, other.second] : [other.second, message]
      const [recipients = 0] = await Promise.all(pair.map((each) => network.publish(topic, each)))
      return recipients
    },
  }
}

function withholding(parts: PeerParts): PeerParts {
  const { network, clock } = parts
  network.serve(
    PAYLOAD_PROTOCOL,
    () =>
      new Promise((_, refuse) => {
        clock.after(STALL_MILLIS, () => refuse(new MurmurError('peer-refused', 'no')))
      }),
  )
  return parts
}

/** One bit of every chunk is wrong, and of the hash lists of half of the payloads. */
function corrupting(parts: PeerParts): PeerParts {
  const { network, store, hash } = parts
  network.serve(PAYLOAD_PROTOCOL, async (body) => {
    const { hash: root, part } = fromBinary(PayloadRequestSchema, body)
    const payload = await store.getObject(hexOf(root))
    if (payload === undefined) throw new MurmurError('peer-refused', 'this peer does not hold the payload')
    const bytes = part.case === 'chunk' ? chunkOf(payload, part.value).slice() : hashList(payload, hash)
    if (part.case === 'chunk' || root[0]! % 2 === 0) bytes[bytes.length >> 1]! ^= 1
    return toBinary(PayloadResponseSchema, create(PayloadResponseSchema, { bytes }))
  })
  return parts
}
