// Two processes with one identity are noticed by whoever both are connected to.
import { setTimeout } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import t from 'tap'
import type { Network } from '../../node/ports.ts'
import { startPeer } from '../network/libp2p-peers.ts'
import { within } from '../network/recorder.ts'

/** The side that was dialled knows of a connection a moment later than the one that dialled. */
async function counts(judge: Network, peer: string, wanted: number): Promise<void> {
  const look = async () => {
    while ((await judge.processes(peer)) !== wanted) await setTimeout(20)
  }
  await within(`${wanted} processes`, look())
}

t.test('a peer that runs once is one process, one that runs twice is two, one that is gone is none', async (t) => {
  const privateKey = await generateKeyPair('Ed25519')
  const [judge, first, twin] = [await startPeer(t), await startPeer(t, { privateKey }), await startPeer(t, { privateKey })]
  const address = judge.addresses()[0]!
  t.equal(await judge.processes(first.self), 0)
  await first.connect(address)
  await counts(judge, first.self, 1)
  await twin.connect(address)
  await counts(judge, first.self, 2)
  await twin.stop()
  await counts(judge, first.self, 1)
  await first.stop()
  await counts(judge, first.self, 0)
})

t.test('two connections to one process are one process', async (t) => {
  const [a, b] = [await startPeer(t), await startPeer(t)]
  await Promise.all([a.connect(b.addresses()[0]!), b.connect(a.addresses()[0]!)])
  await counts(a, b.self, 1)
  await counts(b, a.self, 1)
})

t.test('who is not a member is told nothing', async (t) => {
  const [member, stranger] = [await startPeer(t), await startPeer(t)]
  member.admit({ isMember: () => false, open: new Set() })
  await stranger.connect(member.addresses()[0]!)
  await counts(member, stranger.self, 1)
  t.equal(await stranger.processes(member.self), 0)
})
