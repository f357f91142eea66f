// Trap 7 of js-libp2p: its monitor takes a peer that is busy for one that is gone.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { startBare } from './bare-node.ts'
import { eventually, within } from './recorder.ts'

/** What libp2p waits for the answer to a ping on a quick link, where it is not told better. */
const LIBP2P_PING_MILLIS = 5000

t.test('a peer whose event loop stands still for longer than libp2p waits for a ping keeps its connections', async (t) => {
  const pingMillis = 2500
  const node = await startBare({ pingMillis })
  t.teardown(() => node.stop())
  const worker = new Worker(new URL('./blocked-node.ts', import.meta.url), {
    workerData: { address: String(node.getMultiaddrs()[0]), pingMillis },
  })
  t.teardown(() => worker.terminate())
  const told = async () => (await within('the word of the other thread', once(worker, 'message')))[0]
  t.equal(await told(), 'ready')
  await eventually('the connection', () => node.getConnections().length > 0)
  const [connection] = node.getConnections()
  worker.postMessage(LIBP2P_PING_MILLIS + 2000)
  t.equal(await told(), 'open', 'the one that stood still has not given it up')
  await within('a ping', node.services.ping.ping(connection!.remotePeer))
  t.equal(connection!.status, 'open', 'nor has the other')
})
