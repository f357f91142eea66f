// Reaching peers that nobody can dial: through a relay that members keep for each other, and for nobody else.
import t, { type Test } from 'tap'
import type { Gate } from '../../node/ports.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { startPeer } from './libp2p-peers.ts'
import { HIDDEN, member, OPEN, TOPIC } from './members.ts'
import { bytes, eventually } from './recorder.ts'

/** Two hidden members that have met through a third. */
async function meet(t: Test) {
  const [relay, a, b] = [await member(t, OPEN), await member(t, HIDDEN), await member(t, HIDDEN)]
  await Promise.all([a, b].map(({ network }) => network.connect(relay.network.addresses()[0]!)))
  t.same(b.network.addresses(), [], 'nothing that others could dial')
  await eventually('a relayed address', () => b.network.addresses().length > 0)
  const addresses = b.network.addresses()
  t.ok(addresses.every((address) => address.endsWith(`/p2p/${relay.network.self}/p2p-circuit/p2p/${b.network.self}`)))
  a.network.learn(b.network.self, addresses)
  await Promise.all([a.peer(b.network.self), b.peer(a.network.self)])
  return { relay, a, b }
}

t.test('trap 10: two peers that nobody can dial gossip, and pull more than 128 KiB, through a member that both reach', async (t) => {
  const { relay, a, b } = await meet(t)
  b.network.serve('/test/large/1', async () => new Uint8Array(LIMITS.chunkBytes))
  for (let i = 0; i < 20; i++) await a.network.request(b.network.self, '/test/large/1', new Uint8Array())
  t.equal(await a.network.processes(b.network.self), 1)
  await a.network.publish(TOPIC, bytes('m1'))
  await Promise.all([b.message('m1'), relay.message('m1')])
  t.same(b.from, [a.network.self])
  await relay.network.stop()
  await Promise.all([a.gone(b.network.self), b.gone(a.network.self)])
  t.same(b.network.addresses(), [], 'what leads nowhere is not told any more')
})

t.test('a relay serves members only: a stranger gets no slot, and nobody reaches it through one', async (t) => {
  const relay = await startPeer(t, OPEN)
  const members = new Set<string>()
  const gate: Gate = { isMember: (peer) => members.has(peer), open: new Set() }
  relay.admit(gate)
  const [a, b] = [await member(t, HIDDEN), await member(t, HIDDEN)]
  members.add(a.network.self)
  await Promise.all([a, b].map(({ network }) => network.connect(relay.addresses()[0]!)))
  await eventually('the slot of a member', () => a.network.addresses().length > 0)
  t.same(b.network.addresses(), [], 'it has asked as long')
  await t.rejects(b.network.request(a.network.self, '/test/none/1', new Uint8Array(), { timeout: 2000 }), { code: 'peer-unreachable' })
  const refused = Promise.withResolvers<void>()
  const connecting = b.network.connect(a.network.addresses()[0]!, { onRetry: () => refused.resolve() })
  connecting.catch(() => {})
  await refused.promise
  t.notOk(a.network.connections().includes(b.network.self))
  members.add(b.network.self)
  relay.admit(gate)
  t.equal(await connecting, a.network.self, 'once it is a member it gets through')
  await eventually('the slot of the new member', () => b.network.addresses().length > 0)
})
