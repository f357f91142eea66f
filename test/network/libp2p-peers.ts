// Started libp2p networks on loopback, stopped with their test.
import { generateKeyPair } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'
import type { Test } from 'tap'
import { createLibp2pNetwork, type Libp2pNetworkOptions } from '../../node/host/libp2p-network.ts'
import type { Node } from '../../node/host/libp2p-node.ts'
import type { Network } from '../../node/ports.ts'
import { createWatch, type Recorder, record } from './recorder.ts'

export async function startPeer(t: Test, options: Partial<Libp2pNetworkOptions> = {}): Promise<Network> {
  const privateKey = options.privateKey ?? (await generateKeyPair('Ed25519'))
  const network = createLibp2pNetwork({ listen: ['/ip4/127.0.0.1/tcp/0'], discovery: false, ...options, privateKey })
  t.teardown(() => network.stop())
  await network.start()
  return network
}

/** A peer that can come back as itself at the same address. */
export async function startReviving(t: Test, options: Partial<Libp2pNetworkOptions> = {}) {
  const privateKey = await generateKeyPair('Ed25519')
  const network = await startPeer(t, { ...options, privateKey })
  const address = network.addresses()[0]!
  const listen = [address.slice(0, address.indexOf('/p2p/'))]
  return { network, address, revive: () => startPeer(t, { ...options, privateKey, listen }) }
}

/** A member whose signed addresses `stays` has learnt is met, lost, and found again after its restart. */
export async function meetLoseAndFind(t: Test, stays: Recorder, topic: string): Promise<void> {
  const restarts = await startReviving(t, { discovery: true })
  const { self } = restarts.network
  await record(restarts.network, topic)
  stays.network.learn(self, restarts.network.addresses())
  await stays.peer(self)
  await restarts.network.stop()
  await stays.gone(self)
  stays.peerEvents.length = 0
  await record(await restarts.revive(), topic)
  await stays.peer(self)
}

/** Connects a stranger to a subscriber, until both know that the other subscribes to the topic. */
export async function intrude(node: Node, recorder: Recorder, topic: string): Promise<void> {
  const { gossip } = node.services
  const { changed, until } = createWatch()
  gossip.addEventListener('subscription-change', changed)
  gossip.subscribe(topic)
  await node.dial(multiaddr(recorder.network.addresses()[0]!))
  await recorder.peer(node.peerId.toString())
  await until('the subscription', () => gossip.getSubscribers(topic).some((peer) => peer.toString() === recorder.network.self))
  gossip.removeEventListener('subscription-change', changed)
}

/** The length of a request's or response's frame. */
export function uint32(length: number): Uint8Array {
  const prefix = new Uint8Array(4)
  new DataView(prefix.buffer).setUint32(0, length)
  return prefix
}
