// Addresses and waits: what is dialled, in which order addresses are told, and how long a lost peer is left alone.
import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import t from 'tap'
import { parseAddress, rankAddresses, readPeerAddress } from '../../node/host/addresses.ts'
import { backoffMillis } from '../../node/host/redial.ts'
import { oneLine, whyOf } from '../../node/host/why.ts'
import { signerOf } from '../helpers/keys.ts'

const { peerId } = signerOf('someone')

t.test('addresses that can be dialled are read, with whose they are', async (t) => {
  for (const host of ['ip4/10.1.2.3', 'ip6/2001:db8::1', 'dns/peer.example', 'dns4/peer.example', 'dns6/peer.example']) {
    t.match(parseAddress(`/${host}/tcp/4001/p2p/${peerId}`), { peer: peerId })
    t.equal(parseAddress(`/${host}/tcp/4001`).peer, undefined)
  }
})

t.test('any other text is refused with what an address looks like', async (t) => {
  const texts = [
    '',
    '/',
    'peer.example:4001',
    '/ip4/10.1.2.3',
    '/ip4/10.1.2.3/tcp/0',
    '/ip4/10.1.2.3/tcp/70000',
    '/ip4/10.1.2.3/udp/4001/quic-v1',
    '/ip4/10.1.2.3/tcp/4001/ws',
    '/ip4/10.1.2.3/tcp/4001/p2p/nonsense',
    `/ip4/10.1.2.3/tcp/4001/p2p/${peerId}/p2p-circuit/p2p/${peerId}`,
    `/p2p/${peerId}`,
    '/unix/tmp%2fsocket',
    '/dnsaddr/bootstrap.libp2p.io',
  ]
  for (const text of texts) t.throws(() => parseAddress(text), { code: 'bad-join-line', message: /\/ip4\/203/ }, `"${text}"`)
})

t.test('no text from another peer breaks the reader', async (t) => {
  const pieces = fc.constantFrom('/ip4', '/10.0.0.1', '/tcp', '/4001', '/p2p', `/${peerId}`, '/dns4', '/x', '/', '\u0000', 'é')
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces).map((list) => list.join('')),
        fc.anything(),
      ),
      (text) => {
        const address = readPeerAddress(text)
        return address === undefined || (address.peer === peerId && address.text.length <= 256)
      },
    ),
    { numRuns: 300 },
  )
  t.equal(readPeerAddress(`/dns4/${'x'.repeat(300)}/tcp/1/p2p/${peerId}`), undefined)
  t.equal(readPeerAddress('/ip4/10.0.0.1/tcp/1'), undefined, 'it must say whose it is')
  t.end()
})

t.test('announced addresses come first, then public, local and loopback ones, each complete and once', async (t) => {
  const listening = ['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1', '/ip4/192.168.1.2/tcp/1', '/ip4/8.8.8.8/tcp/1'].map((text) =>
    multiaddr(text),
  )
  t.same(rankAddresses(peerId, ['/dns4/peer.example/tcp/2', `/ip4/8.8.8.8/tcp/1/p2p/${peerId}`], listening), [
    `/dns4/peer.example/tcp/2/p2p/${peerId}`,
    `/ip4/8.8.8.8/tcp/1/p2p/${peerId}`,
    `/ip4/192.168.1.2/tcp/1/p2p/${peerId}`,
    `/ip4/127.0.0.1/tcp/1/p2p/${peerId}`,
    `/ip6/::1/tcp/1/p2p/${peerId}`,
  ])
  t.end()
})

t.test('waits between attempts grow from a quarter of a second to ten seconds, jittered, for ever', async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, random) => {
        const wait = backoffMillis(attempt, () => random)
        return wait >= 250 && wait <= 10_000 && wait <= 250 * 2 ** attempt
      },
    ),
  )
  t.equal(
    backoffMillis(1, () => 0),
    250,
  )
  t.equal(
    backoffMillis(100, () => 0),
    5000,
  )
  t.end()
})

t.test('reasons are short, on one line, and free of control characters', async (t) => {
  t.equal(whyOf(Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' })), 'connection refused')
  t.equal(whyOf(new AggregateError([Object.assign(new Error('x'), { code: 'EHOSTUNREACH' })])), 'no route to the host')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const line = oneLine(text, 200)
      return line.length <= 200 && !/[\p{Cc}\p{Cf}]/u.test(line)
    }),
  )
  t.ok(whyOf(new Error('x'.repeat(1000))).length <= 200)
  t.equal(oneLine('a\n\u001b[2Jb', 10), 'a [2Jb')
  t.end()
})
