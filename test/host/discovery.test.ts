// Members are dialled where they are not connected: as soon as they are known, patiently, few at a time, and never for ever in vain.
import t from 'tap'
import { createDiscovery } from '../../node/host/discovery.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { signerOf } from '../helpers/keys.ts'

const ids = Array.from({ length: 60 }, (_, i) => signerOf(`peer ${i}`).peerId).sort()
const [self, ...others] = ids as [string, ...string[]]
const at = (peer: string, host = '10.0.0.1') => `/ip4/${host}/tcp/4001/p2p/${peer}`

function discover({ answers = (_: string): boolean => true, own = self } = {}) {
  const clock = createVirtualClock()
  const connected = new Set<string>()
  const dials: { peer: string; at: number; addresses: string[] }[] = []
  const life = new AbortController()
  let dialling = 0
  let most = 0
  const discovery = createDiscovery({
    self: own,
    clock,
    random: () => 0.5,
    signal: life.signal,
    connections: () => [...connected],
    async dial(peer, addresses) {
      dials.push({ peer, at: clock.now(), addresses: addresses.map(({ multiaddr }) => multiaddr.toString()) })
      most = Math.max(most, ++dialling)
      await new Promise<void>((resolve) => clock.after(100, resolve))
      dialling--
      if (!answers(peer)) throw new Error('no answer')
      connected.add(peer)
    },
  })
  discovery.start()
  return { discovery, clock, connected, dials, life, most: () => most }
}

t.test('a member is dialled once it is known, and again when it is lost', async (t) => {
  const { discovery, clock, connected, dials } = discover()
  discovery.learn(others[0]!, [at(others[0]!)])
  await clock.advance(1000)
  t.same([...connected], [others[0]])
  await clock.advance(60_000)
  t.equal(dials.length, 1, 'who is connected is left alone')
  connected.clear()
  await clock.advance(5000)
  t.equal(dials.length, 2)
})

t.test('who does not let this peer stay is dialled ever more rarely', async (t) => {
  const { discovery, clock, connected, dials } = discover()
  discovery.learn(others[0]!, [at(others[0]!)])
  const cut = () =>
    void clock.after(LIMITS.strangerMillis, () => {
      connected.clear()
      cut()
    })
  cut()
  await clock.advance(3600_000)
  t.ok(dials.length > 5 && dials.length < 30, `${dials.length} dials in an hour`)
})

t.test('the one with the larger id lets the other dial first', async (t) => {
  const larger = discover({ own: others.at(-1)! })
  larger.discovery.learn(self, [at(self)])
  await larger.clock.advance(200)
  t.equal(larger.dials.length, 0)
  await larger.clock.advance(1000)
  t.equal(larger.dials.length, 1)
})

t.test('who does not answer is dialled ever more rarely, never given up, and at once at new addresses', async (t) => {
  const { discovery, clock, dials } = discover({ answers: () => false })
  discovery.learn(others[0]!, [at(others[0]!)])
  await clock.advance(60 * 60_000)
  const waits = dials.slice(1).map((dial, i) => dial.at - dials[i]!.at)
  t.ok(dials.length > 10 && dials.length < 40, `${dials.length} dials in an hour`)
  t.ok(
    waits.slice(0, 5).every((wait, i) => i === 0 || wait > waits[i - 1]!),
    'each wait is longer at first',
  )
  t.ok(Math.max(...waits) <= 301_000)
  const before = dials.length
  discovery.learn(others[0]!, [at(others[0]!)])
  await clock.advance(1000)
  t.equal(dials.length, before, 'nothing new')
  discovery.learn(others[0]!, [at(others[0]!, '10.0.0.2')])
  await clock.advance(1000)
  t.equal(dials.length, before + 1)
})

t.test('after having been cut off from everyone, all are tried soon', async (t) => {
  let cut = true
  const { discovery, clock, connected } = discover({ answers: () => !cut })
  for (const peer of others.slice(0, 5)) discovery.learn(peer, [at(peer)])
  await clock.advance(60 * 60_000)
  t.equal(connected.size, 0)
  cut = false
  connected.add('a bootstrap')
  await clock.advance(5000)
  t.equal(connected.size, 6)
})

t.test('no more dials at a time, and no more connections, than make sense', async (t) => {
  const { discovery, clock, connected, most } = discover()
  for (const peer of others) discovery.learn(peer, [at(peer)])
  await clock.advance(60_000)
  t.equal(connected.size, 32)
  t.equal(most(), 8)
})

t.test('addresses count only for whose they are, in a bounded number; none means not to be sought', async (t) => {
  const { discovery, clock, dials } = discover({ answers: () => false })
  const [a, b, c] = others as [string, string, string]
  discovery.learn(a, [at(b), 'nonsense', '/ip4/10.0.0.1/tcp/4001'])
  discovery.learn(self, [at(self)])
  discovery.learn(
    b,
    Array.from({ length: 50 }, (_, i) => at(b, `10.0.1.${i}`)),
  )
  discovery.learn(c, [at(c)])
  discovery.learn(c, [])
  await clock.advance(1000)
  t.same([...new Set(dials.map(({ peer }) => peer))], [b])
  t.equal(dials[0]!.addresses.length, LIMITS.addresses)
})

t.test('what is heard on the local network is tried a few times, then forgotten until it is heard again', async (t) => {
  const { discovery, clock, dials } = discover({ answers: () => false })
  for (let i = 0; i < 3; i++) discovery.meet(others[0]!, [at(others[0]!)])
  await clock.advance(60 * 60_000)
  t.equal(dials.length, 3)
  discovery.meet(others[0]!, [at(others[0]!)])
  await clock.advance(1000)
  t.equal(dials.length, 4)
  discovery.learn(others[1]!, [at(others[1]!)])
  discovery.meet(others[1]!, [at(others[1]!, '6.6.6.6')])
  await clock.advance(5000)
  t.ok(
    dials.every(({ addresses }) => !addresses.join().includes('6.6.6.6')),
    'what a member has signed is not replaced by hearsay',
  )
})

t.test('nothing is dialled after the end', async (t) => {
  const { discovery, clock, dials, life } = discover()
  life.abort()
  discovery.learn(others[0]!, [at(others[0]!)])
  await clock.advance(60_000)
  t.equal(dials.length, 0)
  t.equal(clock.pending(), 0)
})
