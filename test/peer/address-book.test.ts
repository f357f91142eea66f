// Members' addresses among whole peers on the bus, in virtual time: told to everyone once, soon after a start, and never again without a change.
import t from 'tap'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import type { PeerParts } from '../../node/peer/parts.ts'
import { decodeGossip } from '../../protocol/gossip.ts'
import { keepAlive } from '../helpers/alive.ts'
import { busNetwork } from '../helpers/bus-peers.ts'
import { signerOf } from '../helpers/keys.ts'

keepAlive(t)

const idOf = (name: string) => signerOf(name).peerId

/** Peers in a row: each hears only those beside it. */
async function row(names: readonly string[]) {
  const clock = createVirtualClock(1_800_000_000_000)
  const pace = { minPeers: 9, staleness: 2, gatherMinSeconds: 1, gatherMaxSeconds: 5, absentAfterSeconds: 3600 }
  const network = busNetwork({ pace }, 4, clock)
  const { bus } = network
  const cut = () => {
    for (const [i, a] of names.entries()) for (const b of names.slice(i + 2)) bus.cut(idOf(a), idOf(b))
  }
  cut()
  let gossiped = 0
  bus.lose(({ kind, bytes }) => {
    const message = kind === 'gossip' ? decodeGossip(bytes) : undefined
    if (typeof message === 'object' && message.type === 'addresses') gossiped++
    return false
  })
  return {
    clock,
    bus,
    cut,
    gossiped: () => gossiped,
    async add(name: string) {
      const known = new Set<string>()
      const located = (parts: PeerParts): PeerParts => ({
        ...parts,
        network: {
          ...parts.network,
          addresses: () => [`/ip4/203.0.113.5/tcp/4001/p2p/${idOf(name)}`],
          learn: (peer) => void known.add(peer),
        },
      })
      return { known, ...(await network.add(name, {}, located)) }
    },
  }
}

t.test('who starts alone tells all where it is once it has met someone, however far they are', async (t) => {
  const { clock, bus, cut, add } = await row(['a', 'b', 'c', 'd', 'e'])
  bus.partition([[idOf('a')]])
  const a = await add('a')
  const others = [await add('b'), await add('c'), await add('d'), await add('e')]
  await clock.advance(10_000)
  bus.heal()
  cut()
  // The state exchange alone goes one peer further in 30 s.
  await clock.advance(5000)
  for (const { name, known } of others) t.ok(known.has(a.network.self), `${name} knows a`)
  for (const peer of [a, ...others]) await peer.stop()
})

t.test('a list is gossiped once: nothing is told again only because time has passed', async (t) => {
  const { clock, gossiped, add } = await row(['a', 'b', 'c'])
  const peers = [await add('a'), await add('b'), await add('c')]
  await clock.advance(30_000)
  const before = gossiped()
  t.ok(before > 0)
  await clock.advance(15 * 60_000)
  t.equal(gossiped(), before)
  for (const peer of peers) {
    t.same(
      [...peer.known].sort(),
      peers
        .map(({ network }) => network.self)
        .filter((id) => id !== peer.network.self)
        .sort(),
      peer.name,
    )
    await peer.stop()
  }
})
