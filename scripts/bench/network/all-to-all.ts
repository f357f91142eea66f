// Everyone pulls everyone's payload at once, each in a process of its own: how many bytes each receives for what it wanted, all protocols and
// framing included.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { createPayloadExchange } from '../../../node/host/payload-exchange.ts'
import { systemClock } from '../../../node/peer/clock.ts'
import { sha256 as hash } from '../../../node/sha256.ts'
import type { Check } from './check.ts'
import { payloadOf, startHost, storeOf, TASK } from './hosts.ts'

const PEERS = 16
const BYTES = 10_000_000
const TOPIC = 'bench'

/** What a peer says of itself. */
interface Told {
  self: string
  address: string
  root: string
}

/** One peer: told who it is and who the others are, then asked to connect, to pull and to end. */
async function peer(own: number): Promise<void> {
  const hear = async <T>() => ((await once(process, 'message')) as [T])[0]
  const tell = (value: unknown) => process.send?.(value)
  const { payload, root, ref } = payloadOf(BYTES, own)
  const network = await startHost()
  const exchange = createPayloadExchange({ network, store: storeOf({ root, payload }), task: TASK, hash, clock: systemClock })
  await network.subscribe(TOPIC, { validate: () => 'ignore', messageId: hash })
  tell({ self: network.self, address: network.addresses()[0]!, root } satisfies Told)
  const all = await hear<Told[]>()
  for (const { address } of all.slice(0, own)) await network.connect(address)
  while (network.connections().length < PEERS - 1) await setTimeout(50)
  tell('connected')
  await hear()
  const before = network.traffic().received
  const others = all.map(({ self }) => self).filter((self) => self !== network.self)
  // As after a round, all are wanted at once; each hears of another author first.
  const wanted = Array.from({ length: PEERS - 1 }, (_, i) => (own + i + 1) % PEERS)
  const pull = (author: number) =>
    exchange.lend(
      { ...ref, hash: new Uint8Array(Buffer.from(all[author]!.root, 'hex')) },
      () => [all[author]!.self, ...others],
      () => {},
    )
  await Promise.all(wanted.map(pull))
  tell(network.traffic().received - before)
  await hear()
  process.exit()
}

export async function allToAll(): Promise<Check[]> {
  const peers = Array.from({ length: PEERS }, (_, i) => fork(new URL(import.meta.url), [String(i)]))
  /** What each says next; one that ends instead ends the measure. */
  const heard = async <T>(): Promise<T[]> =>
    Promise.all(
      peers.map(async (child: ChildProcess) => {
        const ended = once(child, 'exit').then(() => Promise.reject(new Error('a peer ended before it had all payloads')))
        return (await Promise.race([once(child, 'message'), ended]))[0] as T
      }),
    )
  const tell = (value: string | Told[]) => {
    for (const child of peers) child.send(value)
  }
  try {
    const all = await heard<Told>()
    const connected = heard()
    tell(all)
    await connected
    const done = heard<number>()
    const began = performance.now()
    tell('pull')
    const received = await done
    const seconds = (performance.now() - began) / 1000
    const wanted = (PEERS - 1) * BYTES
    return [
      {
        name: 'received',
        what: `${PEERS} peers x ${BYTES / 1e6} MB, all to all: bytes received by a peer, at most, over its payloads' (${((PEERS * wanted) / 1e6 / seconds).toFixed(0)} MB/s in all)`,
        value: Math.max(...received) / wanted,
        goal: { most: 1.05 },
      },
    ]
  } finally {
    for (const child of peers) child.kill()
  }
}

if (process.send !== undefined) await peer(Number(process.argv[2]))
