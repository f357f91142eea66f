// Everyone pulls everyone's payload at once: how many bytes each receives for what it wanted, all protocols and framing included.
import { setTimeout } from 'node:timers/promises'
import { createPayloadExchange } from '../../../node/host/payload-exchange.ts'
import { systemClock } from '../../../node/peer/clock.ts'
import { sha256 as hash } from '../../../node/sha256.ts'
import type { Check } from './check.ts'
import { payloadOf, startHost, storeInto, TASK } from './hosts.ts'

const PEERS = 16
const BYTES = 10_000_000
/** Payloads that each pulls at a time: one thread does the work of all sixteen. */
const AT_ONCE = 3
const TOPIC = 'bench'

export async function allToAll(): Promise<Check[]> {
  const payloads = Array.from({ length: PEERS }, (_, i) => payloadOf(BYTES, i))
  const byRoot = new Map(payloads.map(({ root, payload }) => [root, payload]))
  const networks = await Promise.all(Array.from({ length: PEERS }, startHost))
  const peers = await Promise.all(
    networks.map(async (network, i) => {
      // All peers share this process's memory: what they put together are the same bytes at the same place.
      const store = storeInto((root) => byRoot.get(root)!)
      await store.putObject(payloads[i]!.root, payloads[i]!.payload)
      await network.subscribe(TOPIC, { validate: () => 'ignore', messageId: hash })
      return { network, exchange: createPayloadExchange({ network, store, task: TASK, hash, clock: systemClock }) }
    }),
  )
  for (const [i, { network }] of peers.entries()) {
    for (const other of peers.slice(0, i)) await network.connect(other.network.addresses()[0]!)
  }
  while (networks.some((network) => network.peers().length < PEERS - 1)) await setTimeout(100)
  const before = networks.map((network) => network.traffic().received)
  const began = performance.now()
  await Promise.all(
    peers.map(async ({ network, exchange }, own) => {
      const everyone = networks.map(({ self }) => self).filter((self) => self !== network.self)
      // Each begins with another author.
      const wanted = Array.from({ length: PEERS - 1 }, (_, i) => (own + i + 1) % PEERS)
      const lane = async () => {
        for (let author = wanted.shift(); author !== undefined; author = wanted.shift()) {
          const { self } = networks[author]!
          await exchange.pull(payloads[author]!.ref, () => [self, ...everyone])
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, lane))
    }),
  )
  const seconds = (performance.now() - began) / 1000
  const received = networks.map((network, i) => network.traffic().received - before[i]!)
  await Promise.all(networks.map((network) => network.stop()))
  const wanted = (PEERS - 1) * BYTES
  const most = Math.max(...received) / wanted
  const rate = (PEERS * wanted) / 1e6 / seconds
  return [
    {
      name: 'received',
      what: `${PEERS} peers x ${BYTES / 1e6} MB, all to all in one process: bytes received by a peer, at most, over its payloads' (${rate.toFixed(0)} MB/s)`,
      value: most,
      goal: { most: 1.05 },
    },
  ]
}
