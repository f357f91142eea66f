// One payload from another process over loopback, and as many bytes over a stream of libp2p as it comes, in turns.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { noise } from '@chainsafe/libp2p-noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { createPayloadExchange } from '../../../node/host/payload-exchange.ts'
import { systemClock } from '../../../node/peer/clock.ts'
import { sha256 as hash } from '../../../node/sha256.ts'
import { type Check, median } from './check.ts'
import { payloadOf, startHost, storeOf, TASK } from './hosts.ts'

const BYTES = 30_000_000
const TURNS = 7
/** Turns until the code is compiled. */
const WARM_UP = 3
const RAW = '/bench/raw/1'
const KINDS = ['pull', 'raw'] as const
const WRITE_BYTES = 64 * 1024

const plainNode = (listen: string[]) =>
  createLibp2p({ addresses: { listen }, transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] })

interface Addresses {
  exchange: string
  raw: string
}

/** The other process. */
async function serve(): Promise<void> {
  const { payload, root } = payloadOf(BYTES, 1)
  const network = await startHost()
  createPayloadExchange({ network, store: storeOf({ root, payload }), task: TASK, hash, clock: systemClock })
  const node = await plainNode(['/ip4/127.0.0.1/tcp/0'])
  await node.handle(RAW, async (stream) => {
    for (let at = 0; at < BYTES; at += WRITE_BYTES) {
      if (stream.send(payload.subarray(at, at + WRITE_BYTES))) continue
      await new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true }))
    }
    await stream.close()
  })
  process.send?.({ exchange: network.addresses()[0]!, raw: node.getMultiaddrs()[0]!.toString() } satisfies Addresses)
  await once(process, 'disconnect')
  process.exit()
}

export async function onePayload(): Promise<Check[]> {
  const other = fork(new URL(import.meta.url))
  const [addresses] = (await once(other, 'message')) as [Addresses]
  const network = await startHost()
  const peer = await network.connect(addresses.exchange)
  const node = await plainNode([])
  const connection = await node.dial(multiaddr(addresses.raw))
  const { ref } = payloadOf(BYTES, 1)

  const exchange = createPayloadExchange({ network, store: storeOf(), task: TASK, hash, clock: systemClock })
  /** As a peer pulls it each round: verified, in memory that it has used before. */
  const pull = () =>
    exchange.lend(
      ref,
      () => [peer],
      () => {},
    )

  const memory = new Uint8Array(BYTES)
  /** The bytes as they come, into memory as well. */
  async function raw(): Promise<void> {
    const stream = await connection.newStream(RAW)
    let at = 0
    await new Promise<void>((resolve) => {
      stream.addEventListener('message', ({ data }) => {
        for (const piece of data instanceof Uint8Array ? [data] : data) {
          memory.set(piece, at)
          at += piece.length
        }
        if (at === BYTES) resolve()
      })
    })
    await stream.close()
  }

  const rates = { pull: [] as number[], raw: [] as number[] }
  const delays = { pull: [] as number[], raw: [] as number[] }
  for (let turn = 0; turn < WARM_UP + TURNS; turn++) {
    const measured = { pull: await rate(pull), raw: await rate(raw) }
    if (turn < WARM_UP) continue
    for (const kind of KINDS) {
      rates[kind].push(measured[kind].rate)
      delays[kind].push(measured[kind].delay)
    }
  }
  await Promise.all([network.stop(), node.stop()])
  other.disconnect()
  const [ours, theirs] = [median(rates.pull), median(rates.raw)]
  return [
    {
      name: 'ratio',
      what: `one payload of ${BYTES / 1e6} MB against a raw libp2p stream (${theirs.toFixed(0)} MB/s)`,
      value: ours / theirs,
      goal: { least: 0.6 },
    },
    {
      name: 'payload',
      what: 'MB/s of one payload over loopback',
      value: ours,
      goal: { least: 150 },
    },
    {
      name: 'delay',
      what: `event loop p99 in ms meanwhile (of the raw stream ${median(delays.raw).toFixed(0)})`,
      value: median(delays.pull),
      goal: { most: 20 },
    },
  ]
}

/** Megabytes a second, and the 99th percentile of the event loop's delay meanwhile, in milliseconds. */
async function rate(work: () => Promise<void>): Promise<{ rate: number; delay: number }> {
  // Anew each time: one that is enabled again counts the time between as a delay.
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const began = performance.now()
  await work()
  const seconds = (performance.now() - began) / 1000
  delay.disable()
  return { rate: BYTES / 1e6 / seconds, delay: delay.percentile(99) / 1e6 }
}

if (process.send !== undefined) await serve()
