// Members that are not connected, as most are in a network of hundreds: who has something to ask of one dials it where it says that it is.
import t, { type Test } from 'tap'
import { startPeer } from './libp2p-peers.ts'

const PROTOCOL = '/murmuration/test/1'

/** It dials nobody by itself. */
async function host(t: Test) {
  const network = await startPeer(t)
  network.serve(PROTOCOL, async (body) => body)
  return network
}

t.test('a member that is not connected is asked at the addresses that it has signed; one without any cannot be', async (t) => {
  const [asker, member] = [await host(t), await host(t)]
  const body = Uint8Array.of(1, 2, 3)
  await t.rejects(asker.request(member.self, PROTOCOL, body), { code: 'peer-unreachable' })
  asker.learn(member.self, member.addresses())
  t.same(await asker.request(member.self, PROTOCOL, body), body)
  t.same(asker.connections(), [member.self])
})

t.test('one that is not where it said is given up soon, and not dialled again at once', async (t) => {
  const [asker, member] = [await host(t), await host(t)]
  asker.learn(member.self, member.addresses())
  await member.stop()
  for (let i = 0; i < 3; i++) await t.rejects(asker.request(member.self, PROTOCOL, Uint8Array.of(1)), { code: 'peer-unreachable' })
})
