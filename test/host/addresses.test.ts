// Addresses and waits: what is dialled, in which order addresses are told, and how long a lost peer is left alone.
import { networkInterfaces } from 'node:os'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import t from 'tap'
import { dialOrder, keepPorts, parseAddress, rankAddresses, readPeerAddress } from '../../node/host/addresses.ts'
import { backoffMillis } from '../../node/host/redial.ts'
import { readScopes, type Scope } from '../../node/host/scopes.ts'
import { oneLine, whyOf } from '../../node/host/why.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { anyCodePoint } from '../helpers/any-text.ts'
import { signerOf } from '../helpers/keys.ts'

const { peerId } = signerOf('someone')
const relay = signerOf('a relay').peerId

t.test('addresses that can be dialled are read, with whose they are', async (t) => {
  for (const host of ['ip4/10.1.2.3', 'ip6/2001:db8::1', 'dns/peer.example', 'dns4/peer.example', 'dns6/peer.example']) {
    t.match(parseAddress(`/${host}/tcp/4001/p2p/${peerId}`), { peer: peerId })
    t.equal(parseAddress(`/${host}/tcp/4001`).peer, undefined)
    for (const kind of ['ws', 'wss', 'tls/ws']) {
      t.match(parseAddress(`/${host}/tcp/443/${kind}/p2p/${peerId}`), { peer: peerId, relayed: false })
      t.equal(parseAddress(`/${host}/tcp/443/${kind}`).peer, undefined)
    }
    t.match(parseAddress(`/${host}/tcp/4001/p2p/${relay}/p2p-circuit/p2p/${peerId}`), { peer: peerId, relayed: true })
    t.match(parseAddress(`/${host}/tcp/443/wss/p2p/${relay}/p2p-circuit/p2p/${peerId}`), { peer: peerId, relayed: true })
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
    '/ip4/10.1.2.3/tcp/4001/tls',
    '/ip4/10.1.2.3/ws',
    '/ip4/10.1.2.3/tcp/4001/ws/ws',
    '/ip4/10.1.2.3/tcp/4001/p2p/nonsense',
    `/ip4/10.1.2.3/tcp/4001/p2p/${relay}/p2p-circuit`,
    `/ip4/10.1.2.3/tcp/4001/p2p-circuit/p2p/${peerId}`,
    `/ip4/10.1.2.3/tcp/4001/p2p/${relay}/p2p-circuit/p2p/${relay}/p2p-circuit/p2p/${peerId}`,
    `/p2p/${peerId}`,
    '/unix/tmp%2fsocket',
    '/dnsaddr/bootstrap.libp2p.io',
  ]
  for (const text of texts) t.throws(() => parseAddress(text), { code: 'bad-join-line', message: /\/ip4\/203/ }, `"${text}"`)
})

t.test('no text from another peer breaks the reader', async (t) => {
  const pieces = fc.constantFrom(
    '/ip4',
    '/10.0.0.1',
    '/tcp',
    '/4001',
    '/p2p',
    `/${peerId}`,
    '/p2p-circuit',
    '/dns4',
    '/x',
    '/',
    '\u0000',
    'é',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces).map((list) => list.join('')),
        fc.anything(),
      ),
      (text) => {
        const address = readPeerAddress(text)
        return address === undefined || (address.peer === peerId && address.text.length <= LIMITS.addressBytes)
      },
    ),
    { numRuns: 300 },
  )
  t.equal(readPeerAddress(`/dns4/${'x'.repeat(LIMITS.addressBytes)}/tcp/1/p2p/${peerId}`), undefined)
  t.equal(readPeerAddress('/ip4/10.0.0.1/tcp/1'), undefined, 'it must say whose it is')
  t.end()
})

t.test('announced addresses come first, then public, local, relayed and loopback ones, each complete and once', async (t) => {
  const read = (texts: string[]) => texts.map((text) => multiaddr(text))
  const listening = read([
    '/ip4/127.0.0.1/tcp/1',
    '/ip6/::1/tcp/1',
    '/ip4/192.168.1.2/tcp/1',
    '/ip4/8.8.8.8/tcp/1',
    '/ip6/fe80::1/tcp/1',
    '/ip4/0.0.0.0/tcp/1',
    '/ip6/::/tcp/1',
  ])
  const relayed = read([`/ip4/9.9.9.9/tcp/1/p2p/${relay}/p2p-circuit`])
  t.same(rankAddresses(peerId, ['/dns4/peer.example/tcp/2', `/ip4/8.8.8.8/tcp/1/p2p/${peerId}`], listening, relayed), [
    `/dns4/peer.example/tcp/2/p2p/${peerId}`,
    `/ip4/8.8.8.8/tcp/1/p2p/${peerId}`,
    `/ip4/192.168.1.2/tcp/1/p2p/${peerId}`,
    `/ip4/9.9.9.9/tcp/1/p2p/${relay}/p2p-circuit/p2p/${peerId}`,
    `/ip4/127.0.0.1/tcp/1/p2p/${peerId}`,
    `/ip6/::1/tcp/1/p2p/${peerId}`,
  ])
})

t.test('a machine with many networks tells a few addresses of each kind, so that the relayed ones are not lost among them', async (t) => {
  const networks = Array.from({ length: 20 }, (_, i) => multiaddr(`/ip4/10.${i}.0.1/tcp/1`))
  const told = rankAddresses(peerId, [], networks, [multiaddr(`/ip4/9.9.9.9/tcp/1/p2p/${relay}/p2p-circuit`)])
  t.ok(told.length <= LIMITS.addresses)
  t.ok(told.at(-1)!.includes('/p2p-circuit'))
})

t.test('every address that a peer tells can be read by others', async () => {
  const host = fc.oneof(
    fc.ipV4().map((ip) => `/ip4/${ip}`),
    fc.ipV6().map((ip) => `/ip6/${ip}`),
  )
  const listening = fc.array(fc.tuple(host, fc.integer({ min: 1, max: 65_535 })).map(([name, port]) => multiaddr(`${name}/tcp/${port}`)))
  fc.assert(
    fc.property(listening, listening, (direct, relays) => {
      const relayed = relays.map((address) => address.encapsulate(`/p2p/${relay}/p2p-circuit`))
      return rankAddresses(peerId, [], direct, relayed).every((text) => readPeerAddress(text)?.peer === peerId)
    }),
    { numRuns: 100 },
  )
})

t.test('near addresses are tried before far ones, relayed ones last, and loopback ones only where there are no others', async (t) => {
  const scopes: Record<string, Scope> = { '127.0.0.1': 0, '192.168.1.2': 1, '10.0.0.1': 2, '8.8.8.8': 3 }
  const scopeOf = (address: Multiaddr) => scopes[address.getComponents()[0]!.value!]!
  const order = (...hosts: string[]) =>
    dialOrder(
      hosts.map((each) =>
        parseAddress(
          each.includes('+') ? `/ip4/${each.slice(1)}/tcp/1/p2p/${relay}/p2p-circuit/p2p/${peerId}` : `/ip4/${each}/tcp/1/p2p/${peerId}`,
        ),
      ),
      scopeOf,
    ).map(({ multiaddr, relayed }) => (relayed ? '+' : '') + multiaddr.getComponents()[0]!.value)
  t.same(order('+8.8.8.8', '10.0.0.1', '127.0.0.1', '8.8.8.8', '192.168.1.2'), ['192.168.1.2', '8.8.8.8', '10.0.0.1', '+8.8.8.8'])
  t.same(order('127.0.0.1'), ['127.0.0.1'])
  t.same(order('+127.0.0.1', '127.0.0.1'), ['127.0.0.1', '+127.0.0.1'])
})

t.test('how far an address is, is judged by the networks of this machine', async (t) => {
  const scopeOf = readScopes()
  const scope = (host: string) => scopeOf(multiaddr(`/${host}/tcp/1`))
  t.same(['ip4/127.0.0.1', 'ip6/::1', 'dns4/localhost'].map(scope), [0, 0, 0])
  t.same(['dns4/founder', 'dns/peer.local'].map(scope), [1, 1])
  t.same(['ip4/8.8.8.8', 'ip6/2001:4860:4860::8888', 'dns/peer.example'].map(scope), [3, 3, 3])
  for (const { address, family, internal } of Object.values(networkInterfaces()).flatMap((each) => each ?? [])) {
    if (!internal) t.equal(scope(`${family === 'IPv6' ? 'ip6' : 'ip4'}/${address}`), 1, address)
  }
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
    fc.property(fc.string({ unit: anyCodePoint, maxLength: 300 }), (text) => {
      const line = oneLine(text, 200)
      return line.length <= 200 && !/[\p{Cc}\p{Cf}]/u.test(line)
    }),
  )
  t.ok(whyOf(new Error('x'.repeat(1000))).length <= 200)
  t.equal(oneLine('a\n\u001b[2Jb', 10), 'a [2Jb')
  t.end()
})

t.test('a peer comes back at the ports that it had, and not at those of its router, proxy or relay', async (t) => {
  const addresses = [
    `/dns4/peer.example/tcp/443/wss/p2p/${peerId}`,
    `/ip4/203.0.113.5/tcp/40123/p2p/${peerId}`,
    `/ip4/127.0.0.1/tcp/5000/p2p/${relay}/p2p-circuit/p2p/${peerId}`,
    `/ip4/127.0.0.1/tcp/4002/ws/p2p/${peerId}`,
    `/ip4/127.0.0.1/tcp/4001/p2p/${peerId}`,
  ]
  t.same(keepPorts(['/ip4/0.0.0.0/tcp/0'], addresses), ['/ip4/0.0.0.0/tcp/4001'])
  t.same(keepPorts(['/ip4/127.0.0.1/tcp/0', '/ip4/0.0.0.0/tcp/0/ws', '/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/9'], addresses), [
    '/ip4/127.0.0.1/tcp/4001',
    '/ip4/0.0.0.0/tcp/4002/ws',
    '/ip4/0.0.0.0/tcp/0',
    '/ip4/0.0.0.0/tcp/9',
  ])
  t.same(keepPorts(['/ip4/0.0.0.0/tcp/0'], addresses.slice(0, 3)), ['/ip4/0.0.0.0/tcp/0'])
})
