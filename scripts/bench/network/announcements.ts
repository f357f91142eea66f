// Announcements of many authors handled by a whole peer as gossip hands them over: told apart, decoded, verified, judged, taken into the round.
// Beside it, in the same run, what node:crypto does alone: nobody can handle records faster than it verifies them.

import { verify as check, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { Network } from '../../../node/ports.ts'
import { createVerifiers, parseKey } from '../../../node/store/verify.ts'
import { encodeAnnouncement } from '../../../protocol/gossip.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { readUpdate, sealUpdate } from '../../../protocol/update.ts'
import { busNetwork } from '../../../test/helpers/bus-peers.ts'
import { signerOf } from '../../../test/helpers/keys.ts'
import { type Check, median } from './check.ts'

const AUTHORS = 100
const ROUNDS = 20
const TURNS = 5
/** Messages that gossipsub has in hand at a time: it does not wait for one before the next. */
const IN_HAND = 256

type Handlers = Parameters<Network['subscribe']>[1]

/** A second, with `IN_HAND` begun at a time. */
async function rate(count: number, handle: (i: number) => unknown): Promise<number> {
  const began = performance.now()
  let next = 0
  const worker = async () => {
    while (next < count) await handle(next++)
  }
  await Promise.all(Array.from({ length: IN_HAND }, worker))
  return count / ((performance.now() - began) / 1000)
}

/** A peer that waits for more others than there are, and what it subscribes with. */
async function waitingPeer() {
  const network = busNetwork({
    stop: { never: true },
    pace: { minPeers: 1000, staleness: 2, gatherMinSeconds: 1, gatherMaxSeconds: 10, absentAfterSeconds: 3600 },
  })
  const { promise, resolve } = Promise.withResolvers<Handlers>()
  const peer = await network.add('self', {}, (parts) => ({
    ...parts,
    ...createVerifiers(),
    network: {
      ...parts.network,
      async subscribe(topic, handlers) {
        await parts.network.subscribe(topic, handlers)
        resolve(handlers)
      },
    },
  }))
  return { task: network.task, peer, handlers: await promise }
}

export async function announcements(): Promise<Check[]> {
  const { task, peer, handlers } = await waitingPeer()
  const authors = Array.from({ length: AUTHORS }, (_, i) => signerOf(`author ${i}`))
  const length = task.exchanged * Float32Array.BYTES_PER_ELEMENT
  const rates: number[][] = []
  for (let turn = 0; turn < TURNS; turn++) {
    const records = Array.from({ length: ROUNDS * AUTHORS }, (_, i) => {
      const round = turn * ROUNDS + Math.floor(i / AUTHORS) + 1
      const payload = { hash: new Uint8Array(32).fill(round), length, codec: 'float32' }
      return sealUpdate({ round, payload, final: false }, task.id, authors[i % AUTHORS]!).envelope
    })
    // The payload is to be pulled.
    const messages = records.map((record) => encodeAnnouncement(record, new Uint8Array(LIMITS.inlineBytes + 1)))
    const proofs = records.map((record) => proofOf(record, task))
    const alone = await rate(records.length, (i) => check(null, ...proofs[i]!))
    const pooled = await rate(records.length, (i) => inPool(null, ...proofs[i]!))
    const handled = await rate(messages.length, async (i) => {
      handlers.messageId(messages[i]!)
      const verdict = await handlers.validate(messages[i]!, `neighbour ${i % 8}`)
      if (verdict !== 'accept') throw new Error(`announcement ${i} was not accepted: ${JSON.stringify(peer.events.at(-1))}`)
    })
    rates.push([handled, alone, pooled])
  }
  await peer.stop()
  const [handled = 0, alone = 0, pooled = 0] = [0, 1, 2].map((of) => median(rates.map((each) => each[of]!)))
  const ratio = (of: number) => `${(handled / of).toFixed(2)} of the ${Math.round(of)} that node:crypto alone verifies`
  const what = `announcements a second of ${AUTHORS} authors, decoded, verified, judged; ${ratio(pooled)} in its pool, ${ratio(alone)} on one thread`
  return [{ name: 'records', what, value: handled, goal: { least: 8000 } }]
}

const inPool = promisify(check)
const keys = new Map<string, KeyObject>()

/** What node:crypto needs, with a key that is parsed once. */
function proofOf(record: Uint8Array, task: { id: Uint8Array; exchanged: number }): [Uint8Array, KeyObject, Uint8Array] {
  const claim = readUpdate(record, { task: task.id, codec: 'float32', length: task.exchanged })
  if (typeof claim === 'string') throw new Error(`an announcement does not read: ${claim}`)
  const [publicKey, text, signature] = claim.proof
  const { author } = claim.update
  const key = keys.get(author) ?? parseKey(publicKey)
  keys.set(author, key)
  return [text, key, signature]
}
