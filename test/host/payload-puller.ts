// A process that pulls one payload into a directory over libp2p and says how far it is, until it is done or killed.
// Arguments: directory, address, task, root hash, length.
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createLibp2pNetwork } from '../../node/host/libp2p-network.ts'
import { createPayloadExchange } from '../../node/host/payload-exchange.ts'
import { systemClock } from '../../node/peer/clock.ts'
import { sha256 } from '../../node/sha256.ts'
import { openObjects } from '../../node/store/objects.ts'

const [dir = '', address = '', task = '', root = '', length = ''] = process.argv.slice(2)
const network = createLibp2pNetwork({ privateKey: await generateKeyPair('Ed25519'), listen: [], discovery: false })
await network.start()
const peer = await network.connect(address)
const exchange = createPayloadExchange({
  ...{ network, store: await openObjects(dir), task: new Uint8Array(Buffer.from(task, 'hex')), hash: sha256, clock: systemClock },
})
const ref = { hash: new Uint8Array(Buffer.from(root, 'hex')), length: Number(length), codec: 'float32' }
await exchange.pull(ref, () => [peer], { onProgress: (bytes) => console.log(bytes) })
console.log('done')
await network.stop()
