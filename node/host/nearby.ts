// Members on the same local network find each other by multicast DNS, with no address given. Only the same task's peers answer: the name they
// ask for is made from its topic.
import type { PeerDiscovery, PeerInfo } from '@libp2p/interface'
import type { PeerId } from '../../protocol/identity.ts'
import { sha256 } from '../sha256.ts'
import type { Components } from './members-only.ts'

/** Milliseconds between questions. A newcomer asks at once, so this only repairs; and each question is answered by all, to all. */
const ASK_MILLIS = 120_000

/** Asks and answers until the returned function is called. What is heard is anyone's claim. */
export async function findNearby(
  components: Components,
  topic: string,
  found: (peer: PeerId, addresses: string[]) => void,
): Promise<() => Promise<void>> {
  const { mdns } = await import('@libp2p/mdns')
  const name = Buffer.from(sha256(new TextEncoder().encode(topic)).subarray(0, 8)).toString('hex')
  const discovery = mdns({ serviceTag: `_murmur-${name}._udp.local`, interval: ASK_MILLIS })(components) as PeerDiscovery & {
    start(): Promise<void>
    stop(): Promise<void>
  }
  discovery.addEventListener('peer', ({ detail }: CustomEvent<PeerInfo>) => {
    const peer = detail.id.toString()
    found(
      peer,
      detail.multiaddrs.map((address) => `${address}/p2p/${peer}`),
    )
  })
  await discovery.start()
  return () => discovery.stop()
}
