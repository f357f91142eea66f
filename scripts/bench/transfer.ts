// Times pulling a payload from another process over loopback, beside a plain TCP socket in the same run.
// Usage: node scripts/bench/transfer.ts [MB]
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createLibp2pNetwork } from '../../node/host/libp2p-network.ts'
import { createPayloadExchange } from '../../node/host/payload-exchange.ts'
import { systemClock } from '../../node/peer/clock.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { payloadRoot } from '../../protocol/payload.ts'

const RUNS = 3
const megabytes = Number(process.argv[2] ?? 64)
const length = megabytes * 1_000_000
const task = new Uint8Array(32)
const hash = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

if (process.send === undefined) await measure()
else await serve()

async function host() {
  const network = createLibp2pNetwork({ privateKey: await generateKeyPair('Ed25519'), listen: ['/ip4/127.0.0.1/tcp/0'], discovery: false })
  await network.start()
  return network
}

/** The other process: holds the payloads, one a run, and streams one over a plain socket to whoever connects. */
async function serve(): Promise<void> {
  const network = await host()
  const store = memoryStore()
  const hashes: string[] = []
  const payload = new Uint8Array(length)
  for (let run = 0; run < RUNS; run++) {
    const made = payload.map((_, i) => (i * 31 + (i >> 8) + run) & 255)
    const root = Buffer.from(payloadRoot(made, hash)).toString('hex')
    await store.putObject(root, made)
    hashes.push(root)
  }
  createPayloadExchange({ network, store, task, hash, clock: systemClock })
  const server = createServer((socket) => socket.end(payload))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.send?.({ address: network.addresses()[0], port: (server.address() as { port: number }).port, hashes })
  await once(process, 'disconnect')
  process.exit()
}

async function measure(): Promise<void> {
  const other = fork(new URL(import.meta.url), process.argv.slice(2))
  const [{ address, port, hashes }] = (await once(other, 'message')) as [{ address: string; port: number; hashes: string[] }]
  const network = await host()
  const peer = await network.connect(address)
  const rates: number[] = []
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  for (const root of hashes) {
    const exchange = createPayloadExchange({ network, store: memoryStore(), task, hash, clock: systemClock })
    const ref = { hash: new Uint8Array(Buffer.from(root, 'hex')), length, codec: 'float32' }
    rates.push(await rate(() => exchange.pull(ref, () => [peer])))
  }
  delay.disable()
  const plain: number[] = []
  for (let run = 0; run < RUNS; run++) plain.push(await rate(() => drain(port)))
  const [best, baseline] = [Math.max(...rates), Math.max(...plain)]
  console.log(
    `${megabytes} MB payload ${best.toFixed(0)} MB/s (runs ${rates.map((each) => each.toFixed(0)).join(', ')})   plain TCP ${baseline.toFixed(0)} MB/s   ` +
      `ratio ${(best / baseline).toFixed(2)}   event loop p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms`,
  )
  await network.stop()
  other.disconnect()
}

/** Megabytes a second. */
async function rate(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return megabytes / ((performance.now() - began) / 1000)
}

async function drain(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.resume()
  await once(socket, 'close')
}
