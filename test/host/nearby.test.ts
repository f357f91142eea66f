// Members on one local network meet with no address given; other tasks' peers do not.
import { networkInterfaces } from 'node:os'
import t from 'tap'
import { startPeer } from '../network/libp2p-peers.ts'
import { record } from '../network/recorder.ts'

const hasNetwork = Object.values(networkInterfaces()).some((each) => each?.some(({ internal }) => !internal))

const skip = hasNetwork ? false : 'this machine is on no network'

t.test('two peers of one task find each other by multicast, a third of another task is not found', { skip }, async (t) => {
  const options = { listen: ['/ip4/0.0.0.0/tcp/0'], discovery: true, mdns: true }
  const [a, b, other] = [await startPeer(t, options), await startPeer(t, options), await startPeer(t, options)]
  for (const each of [a, b, other]) each.admit({ isMember: () => true, open: new Set() })
  await record(other, '/murmuration/1/another')
  const [first, second] = [await record(a, '/murmuration/1/nearby'), await record(b, '/murmuration/1/nearby')]
  await Promise.all([first.peer(b.self), second.peer(a.self)])
  t.same(other.connections(), [])
})
