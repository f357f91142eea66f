// Started libp2p networks on loopback, stopped with their test.
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Test } from 'tap'
import { createLibp2pNetwork, type Libp2pNetworkOptions } from '../../node/host/libp2p-network.ts'
import type { Network } from '../../node/ports.ts'

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
