// A node in a thread of its own, whose event loop stands still for as long as it is told, as under a long computation. For standstill.test.ts.
import { parentPort, workerData } from 'node:worker_threads'
import { multiaddr } from '@multiformats/multiaddr'
import { startBare } from './bare-node.ts'

const { address, pingMillis } = workerData as { address: string; pingMillis: number }

async function run(): Promise<void> {
  const node = await startBare({ pingMillis })
  const connection = await node.dial(multiaddr(address))
  parentPort!.on('message', async (millis: number) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
    // Timers that have run out meanwhile have their say before what has arrived is read.
    await new Promise((resolve) => setTimeout(resolve))
    parentPort!.postMessage(connection.status)
  })
  parentPort!.postMessage('ready')
}

run().catch((error: unknown) => {
  throw error
})
