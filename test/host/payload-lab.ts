// Peers with payload exchanges on a bus under a virtual clock, and peers among them that answer as they like.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { createPayloadExchange, PAYLOAD_PROTOCOL } from '../../node/host/payload-exchange.ts'
import { createBus } from '../../node/lab/bus.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { systemClock } from '../../node/peer/clock.ts'
import type { Clock, Network } from '../../node/ports.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { hashList, type PayloadRef, payloadRoot } from '../../protocol/payload.ts'
import { createPrng } from '../../protocol/prng.ts'
import { hexOf } from '../../protocol/task.ts'
import { type PayloadRequest, PayloadRequestSchema, PayloadResponseSchema } from '../../protocol/wire_pb.ts'
import { sha256 } from '../helpers/keys.ts'
import { within } from '../network/recorder.ts'

export const TASK = new Uint8Array(32).fill(7)

export function payloadOf(length: number, seed = 1): { payload: Uint8Array; ref: PayloadRef; root: string } {
  const prng = createPrng(seed)
  const payload = new Uint8Array(length)
  for (let i = 0; i < length; i += 97) payload[i] = prng.int(256)
  const hash = payloadRoot(payload, sha256)
  return { payload, ref: { hash, length, codec: 'float32' }, root: hexOf(hash) }
}

/** A peer with an exchange; `bad` are those it was told to have sent bad chunks, `reads` how often the store was read. */
export function exchangeOn(network: Network, clock: Clock = systemClock, task = TASK, kept = memoryStore()) {
  const bad: string[] = []
  const counted = { reads: 0 }
  const store = {
    ...kept,
    getObject(root: string) {
      counted.reads++
      return kept.getObject(root)
    },
  }
  const exchange = createPayloadExchange({ network, store, task, hash: sha256, clock, onBadChunk: (peer) => bad.push(peer) })
  return { network, store, exchange, bad, counted }
}

/** tap compares byte by byte with a line for each; this is for megabytes. */
export const same = (a: Uint8Array | undefined, b: Uint8Array): boolean => a !== undefined && Buffer.compare(a, b) === 0

/** A network on a virtual clock, and a way to wait for a result on it. */
export async function lab() {
  const clock = createVirtualClock()
  const bus = createBus({ clock, delayMillis: 1 })
  const add = async (name: string, task = TASK, kept = memoryStore()) => {
    const network = bus.network(name)
    await network.start()
    return exchangeOn(network, clock, task, kept)
  }
  /** A peer that answers payload requests as it likes. */
  const addLiar = async (name: string, answer: (request: PayloadRequest) => Uint8Array | Promise<Uint8Array>) => {
    const network = bus.network(name)
    await network.start()
    const asked: PayloadRequest[] = []
    network.serve(PAYLOAD_PROTOCOL, async (body) => {
      const request = fromBinary(PayloadRequestSchema, body)
      asked.push(request)
      return toBinary(PayloadResponseSchema, create(PayloadResponseSchema, { bytes: await answer(request) }))
    })
    return { network, asked }
  }
  async function settle<T>(work: Promise<T>): Promise<T> {
    let over = false
    const ended = () => {
      over = true
    }
    work.then(ended, ended)
    await clock.runUntil(() => over, 600_000)
    return within('the result', work, 1000)
  }
  return { clock, bus, add, addLiar, settle }
}

export const partOf = (payload: Uint8Array, { part }: PayloadRequest): Uint8Array =>
  part.case === 'chunk' ? payload.subarray(part.value * LIMITS.chunkBytes, (part.value + 1) * LIMITS.chunkBytes) : hashList(payload, sha256)
