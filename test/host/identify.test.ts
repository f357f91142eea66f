// What one learns who connects: a member where else this machine listens, a stranger nothing that it did not know.
import { once } from 'node:events'
import type { IdentifyResult } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import t from 'tap'
import { bareNode } from '../network/bare-node.ts'
import { startPeer } from '../network/libp2p-peers.ts'

t.test('identify tells strangers neither addresses nor versions; members are told the addresses', async (t) => {
  const network = await startPeer(t, { listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'] })
  const [member, stranger] = [await bareNode(t), await bareNode(t)]
  network.admit({ isMember: (peer) => peer === member.peerId.toString(), open: new Set() })
  const [dialled, other] = network.addresses()
  const tellsOf = async (node: typeof member) => {
    const identified = once(node, 'peer:identify')
    await node.dial(multiaddr(dialled!))
    const [{ detail }] = (await identified) as [CustomEvent<IdentifyResult>]
    const { listenAddrs, signedPeerRecord, agentVersion } = detail
    const known = await node.peerStore.get(peerIdFromString(network.self))
    return {
      told: listenAddrs.map(String),
      signedPeerRecord,
      agentVersion,
      known: known.addresses.map(({ multiaddr }) => multiaddr.toString()),
    }
  }
  const toMember = await tellsOf(member)
  t.equal(toMember.told.length, 2)
  t.ok(toMember.known.some((address) => other?.startsWith(address)))
  const toStranger = await tellsOf(stranger)
  t.match(toStranger, { told: [], signedPeerRecord: undefined, agentVersion: 'murmuration' })
  t.ok(
    toStranger.known.every((address) => dialled?.startsWith(address)),
    'the one that it dialled',
  )
})
