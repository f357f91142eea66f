// Finding the others: at the addresses they have signed, and by names; and losing those who are no members any more.
import dns from 'node:dns'
import { multiaddr } from '@multiformats/multiaddr'
import t from 'tap'
import { bareNode } from './bare-node.ts'
import { meetLoseAndFind, startPeer, startReviving } from './libp2p-peers.ts'
import { member, TOPIC } from './members.ts'
import { eventually, within } from './recorder.ts'

t.test('members whose addresses are known find each other, with nobody in the middle', async (t) => {
  const networks = await Promise.all(Array.from({ length: 4 }, () => member(t, { discovery: true })))
  for (const { network } of networks) for (const other of networks) network.learn(other.network.self, other.network.addresses())
  await Promise.all(networks.map((each) => each.until('three peers', () => each.network.peers().length === 3)))
})

t.test('trap 8: a member that restarts is found again at its address, also by whom it does not know', async (t) => {
  const stays = await member(t, { discovery: true })
  await meetLoseAndFind(t, stays, TOPIC)
})

t.test('a name is looked up at each dial, so that a peer whose address changes is found again', async (t) => {
  const restarts = await startReviving(t)
  const a = await startPeer(t)
  const port = /tcp\/(\d+)/.exec(restarts.address)![1]
  const lookups: string[] = []
  const { lookup } = dns
  const known = new Map([['peer.example', '127.0.0.2']])
  dns.lookup = ((host: string, ...rest: [unknown, unknown]) => {
    lookups.push(host)
    return (lookup as (...all: unknown[]) => void)(known.get(host) ?? host, ...rest)
  }) as typeof lookup
  t.teardown(() => {
    dns.lookup = lookup
  })
  const tried = Promise.withResolvers<void>()
  const connecting = a.connect(`/dns4/peer.example/tcp/${port}`, { onRetry: () => tried.resolve() })
  await tried.promise
  known.set('peer.example', '127.0.0.1')
  t.equal(await connecting, restarts.network.self, 'it also says whose it is')
  t.ok(lookups.filter((host) => host === 'peer.example').length >= 2)
})

t.test('who is not a member any more loses its connection at once; others keep theirs', async (t) => {
  const [gated, former, friend] = [await startPeer(t), await bareNode(t), await bareNode(t)]
  gated.admit({ isMember: () => true, open: new Set() })
  const address = multiaddr(gated.addresses()[0]!)
  const gone = Promise.withResolvers<void>()
  former.addEventListener('peer:disconnect', () => gone.resolve())
  await Promise.all([former, friend].map((node) => node.dial(address)))
  await eventually('both are there', () => gated.connections().length === 2)
  gated.admit({ isMember: (peer) => peer === friend.peerId.toString(), open: new Set() })
  await within('the end', gone.promise)
  t.same(gated.connections(), [friend.peerId.toString()])
})
