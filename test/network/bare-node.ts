// A bare libp2p node as the host makes it: what somebody else's program, or an attacker's, could do on the wire.
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Test } from 'tap'
import { createTopics } from '../../node/host/gossip.ts'
import { createNode, type Node } from '../../node/host/libp2p-node.ts'
import type { Reach } from '../../node/host/reach.ts'
import { createReputation } from '../../node/host/reputation.ts'
import { systemClock } from '../../node/peer/clock.ts'

/** Started, and stopped with its test. */
export async function bareNode(t: Test, reach?: Reach): Promise<Node> {
  const made = await startBare({ reach })
  t.teardown(() => made.stop())
  return made
}

export async function startBare(change: { reach?: Reach | undefined; pingMillis?: number }): Promise<Node> {
  const made = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce: [],
    meter: { received: 0, sent: 0 },
    topics: { ...createTopics(createReputation(systemClock)), inbound: (_, message) => message },
    ...change,
  })
  await made.start()
  return made
}
