// A node in a thread of its own, whose event loop stands still for as long as it is told, as under a long computation. For traps.test.ts.
import { parentPort, workerData } from 'node:worker_threads'
import { multiaddr } from '@multiformats/multiaddr'
import { startBare } from './bare-node.ts'

const { address, pingMillis } = workerData as { address: string; pingMillis: number }

async function run(): Promise<void> {
  const node = await startBare({ pingMillis })
  const connection = await node.dial(multiaddr(address))
  parentPort!.on('message', async (millis: number) => {
    const end = performance.now() + millis
    while (performance.now() < end) {}
    // Timers that have run out meanwhile have their say before what has arrived is read.
    await new Promise((resolve) => setTimeout(resolve))
    parentPort!.postMessage(connection.status)
  })
  parentPort!.postMessage('ready')
}

run().catch((error: unknown) => {
  throw error
})
