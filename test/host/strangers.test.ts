// Who is not a member may connect, but not many at once and not for long; who is one, or ceases to be one, is told apart at once.
import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import t from 'tap'
import { originOf } from '../../node/host/origin.ts'
import { createStrangers } from '../../node/host/strangers.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { signerOf } from '../helpers/keys.ts'

const peerOf = (name: string) => signerOf(name).peerId

/** The strangers' door with members that can be changed, and connections that are noted when they are ended. */
function door(members: string[] = []) {
  const clock = createVirtualClock()
  const strangers = createStrangers(clock)
  const ids = new Set(members.map(peerOf))
  const ended: string[] = []
  let count = 0
  const admit = () => strangers.admit({ isMember: (peer) => ids.has(peer), open: new Set() })
  const open = (name: string, direction: Connection['direction'] = 'inbound', host = '127.0.0.1') => {
    const connection = {
      id: `${count++}`,
      direction,
      remoteAddr: multiaddr(`/ip4/${host}/tcp/${4000 + count}`),
      remotePeer: peerIdFromString(peerOf(name)),
      abort() {
        ended.push(name)
        strangers.onClose(connection as unknown as Connection)
      },
    }
    strangers.onOpen(connection as unknown as Connection)
  }
  const denies = (name: string, host = '127.0.0.1') =>
    strangers.gater.denyInboundEncryptedConnection!(peerIdFromString(peerOf(name)), {
      remoteAddr: multiaddr(`/ip4/${host}/tcp/1`),
    } as never)
  return { clock, strangers, ids, ended, admit, open, denies }
}

t.test('before the gate is set everyone may connect, and stay', async (t) => {
  const { clock, open, ended, denies } = door()
  for (let i = 0; i < 2 * LIMITS.strangers; i++) open(`someone ${i}`)
  await clock.advance(10 * LIMITS.strangerMillis)
  t.same(ended, [])
  t.notOk(denies('one more'))
})

t.test('a stranger has its time, a member has no end', async (t) => {
  const { clock, open, ended, admit } = door(['member'])
  admit()
  open('member')
  open('stranger')
  await clock.advance(LIMITS.strangerMillis - 1)
  t.same(ended, [])
  await clock.advance(1)
  t.same(ended, ['stranger'])
  await clock.advance(10 * LIMITS.strangerMillis)
  t.same(ended, ['stranger'])
})

t.test('when as many strangers are there as may be, others are turned away and members are not', async (t) => {
  const { open, ended, admit, denies, clock } = door(['member'])
  admit()
  for (let i = 0; i < LIMITS.strangers; i++) open('stranger')
  t.ok(denies('another stranger'))
  t.notOk(denies('member'))
  open('another stranger')
  t.same(ended, ['another stranger'], 'also where several came at once')
  open('member')
  await clock.advance(LIMITS.strangerMillis)
  t.equal(ended.length, 1 + LIMITS.strangers)
  t.notOk(denies('another stranger'), 'their places are free again')
})

t.test('one address has all places as long as nobody else wants one, and then makes room until the shares are even', async (t) => {
  const { open, ended, admit, denies, clock } = door(['member'])
  admit()
  const host = '10.0.0.66'
  for (let i = 0; i < LIMITS.strangers; i++) open(`flood ${i}`, 'inbound', host)
  t.same(ended, [])
  t.ok(denies('flood again', host))
  t.notOk(denies('newcomer', '10.0.0.2'))
  open('newcomer', 'inbound', '10.0.0.2')
  t.same(ended, ['flood 0'], 'the one that has been there longest')
  for (let i = 1; i < LIMITS.strangers; i++) open(`neighbour ${i}`, 'inbound', '10.0.0.2')
  t.equal(ended.filter((name) => name.startsWith('flood')).length, LIMITS.strangers / 2)
  t.ok(denies('neighbour', '10.0.0.2'), 'both have half of them')
  t.notOk(denies('third', '10.0.0.3'))
  await clock.advance(LIMITS.strangerMillis)
  t.equal(clock.pending(), 0)
})

t.test('an address is shared out by machine, and by site where it is IPv6', (t) => {
  t.equal(originOf('/ip4/203.0.113.5/tcp/4001'), '/ip4/203.0.113.5')
  t.equal(originOf('/ip6/::ffff:203.0.113.5/tcp/4001'), '/ip4/203.0.113.5')
  t.equal(originOf('/ip6/2001:db8:0001:2:3:4:5:6/tcp/4001'), '/ip6/2001:db8:1:2::')
  t.equal(originOf('/ip6/2001:db8:1:2::9/tcp/4002/ws'), '/ip6/2001:db8:1:2::')
  t.equal(originOf('/ip6/::1/tcp/1'), '/ip6/0:0:0:0::')
  t.equal(originOf('/dns4/example.org/tcp/1'), '/dns4/example.org')
  t.end()
})

t.test('setting the gate judges those who are there', async (t) => {
  const { open, ended, admit, clock } = door(['member'])
  for (let i = 0; i < LIMITS.strangers + 2; i++) open('stranger')
  open('member')
  admit()
  t.equal(ended.length, 2)
  await clock.advance(LIMITS.strangerMillis)
  t.equal(ended.length, LIMITS.strangers + 2)
  t.notOk(ended.includes('member'))
})

t.test('who becomes a member in its time stays; who ceases to be one goes at once, also where we dialled it', async (t) => {
  const { open, ended, admit, clock, ids } = door(['member', 'other'])
  admit()
  open('newcomer')
  open('member')
  open('other', 'outbound')
  ids.add(peerOf('newcomer'))
  admit()
  await clock.advance(2 * LIMITS.strangerMillis)
  t.same(ended, [])
  ids.delete(peerOf('member'))
  ids.delete(peerOf('other'))
  admit()
  t.same(ended, ['member', 'other'])
})

t.test('whom the user has us dial may be unknown: we are a stranger to it too; all others we dial must be members', async (t) => {
  const { open, ended, admit, clock, strangers } = door()
  admit()
  strangers.spare(peerOf('bootstrap'))
  open('bootstrap', 'outbound')
  open('whose address said nothing', 'outbound')
  strangers.spare(peerOf('whose address said nothing'))
  open('claimed on the local network', 'outbound')
  open('bootstrap', 'inbound')
  await clock.advance(LIMITS.strangerMillis)
  t.same(ended, ['claimed on the local network', 'bootstrap'], 'what it dials itself counts')
})

t.test('only members are relayed for, and only members come through a relay', async (t) => {
  const { admit, strangers } = door(['member', 'other'])
  const [member, other, stranger] = ['member', 'other', 'stranger'].map((name) => peerIdFromString(peerOf(name)))
  const { gater } = strangers
  t.ok(gater.denyInboundRelayReservation!(member!), 'nobody before it is known who is one')
  admit()
  t.notOk(gater.denyInboundRelayReservation!(member!))
  t.ok(gater.denyInboundRelayReservation!(stranger!))
  t.notOk(gater.denyOutboundRelayedConnection!(member!, other!))
  t.ok(gater.denyOutboundRelayedConnection!(stranger!, other!))
  t.ok(gater.denyOutboundRelayedConnection!(member!, stranger!))
  t.notOk(gater.denyInboundRelayedConnection!(other!, member!))
  t.ok(gater.denyInboundRelayedConnection!(other!, stranger!))
})
