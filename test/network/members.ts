// Started members for tests of how peers reach each other; this machine's own addresses count as far away.
import type { Test } from 'tap'
import type { Libp2pNetworkOptions } from '../../node/host/libp2p-network.ts'
import type { Gate } from '../../node/ports.ts'
import { startPeer } from './libp2p-peers.ts'
import { type Recorder, record } from './recorder.ts'

export const TOPIC = '/murmuration/1/reach'
const EVERYONE: Gate = { isMember: () => true, open: new Set() }
export const OPEN: Partial<Libp2pNetworkOptions> = { discovery: true, mdns: false, loopbackIsFar: true }
/** Nobody can dial a peer that listens nowhere, as behind a router that lets nothing in. */
export const HIDDEN: Partial<Libp2pNetworkOptions> = { ...OPEN, listen: [] }

export async function member(t: Test, options: Partial<Libp2pNetworkOptions>, gate = EVERYONE): Promise<Recorder> {
  const network = await startPeer(t, options)
  network.admit(gate)
  // Who forwards nothing shows that what arrives has come another way.
  return record(network, TOPIC, () => 'ignore')
}
