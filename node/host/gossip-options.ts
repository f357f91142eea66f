// How gossipsub is set up. Each value replaces a default that breaks a network of peers that train, most of them without a word.
import type { GossipsubOpts } from '@chainsafe/libp2p-gossipsub'
import type { TopicScoreParams } from '@chainsafe/libp2p-gossipsub/score'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { GRAYLIST_SCORE } from './reputation.ts'

/**
 * Without an entry for its topic, gossipsub scores nothing and a rejected message costs its sender nothing. With this, the third one in a
 * row puts it below the graylist threshold (-80), for about a minute. Ours is a slow topic: a peer is never at fault for delivering little.
 */
export const TOPIC_SCORE: TopicScoreParams = {
  topicWeight: 1,
  timeInMeshWeight: 0.001,
  timeInMeshQuantum: 1000,
  timeInMeshCap: 3600,
  firstMessageDeliveriesWeight: 0.1,
  firstMessageDeliveriesDecay: 0.99,
  firstMessageDeliveriesCap: 50,
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 100,
  meshMessageDeliveriesThreshold: 20,
  meshMessageDeliveriesWindow: 10,
  meshMessageDeliveriesActivation: 5000,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  invalidMessageDeliveriesWeight: -20,
  invalidMessageDeliveriesDecay: 0.99,
}

/** Ours is a slow topic: scores stay small, and these thresholds are set by what is held against a peer, never by how much it delivers. */
const THRESHOLDS = {
  gossipThreshold: -10,
  publishThreshold: -50,
  graylistThreshold: GRAYLIST_SCORE,
  /** Addresses that a pruning peer hands over are hearsay: only signed ones are dialled. */
  acceptPXThreshold: Number.MAX_SAFE_INTEGER,
  /** A mesh whose median member has delivered nothing of late takes in others. */
  opportunisticGraftThreshold: 0.5,
}

/**
 * Bytes of a gossip frame: messages that were asked for together come in one. Above what the receiver takes it ends gossip with the
 * sender, so this equals the most that gossipsub sends.
 */
export const GOSSIP_FRAME_BYTES = 256 * LIMITS.gossipBytes
/** Bytes of topic names kept for one peer: ours is one of 80 bytes, and gossipsub counts 1 KiB for each. */
const TOPIC_BYTES = 32 * 1024

/** Entries of one frame that are decoded; gossipsub allows 5000 of each kind, and remembers each message for two minutes. */
const FRAME_ENTRIES = {
  maxSubscriptions: 32,
  maxMessages: LIMITS.members,
  maxIhaveMessageIDs: 5000,
  maxIwantMessageIDs: 5000,
  maxIdontwantMessageIDs: 512,
  maxControlMessages: 64,
  maxPeerInfos: 0,
}

/** What gossipsub asks about a message before anything else. */
export interface GossipRules {
  messageId(topic: string, message: Uint8Array): Uint8Array
  /** @throws where the message is not to be looked at: gossipsub holds its sender to account */
  inbound(topic: string, message: Uint8Array): Uint8Array
  /** What is to be added to a peer's score. */
  score(peer: PeerId): number
}

export function gossipOptions(rules: GossipRules): Partial<GossipsubOpts> {
  return {
    // Records are signed by their authors; a second signature would name the publisher and cost every peer a verification.
    globalSignaturePolicy: 'StrictNoSign',
    msgIdFn: (message) => rules.messageId(message.topic, message.data),
    dataTransform: {
      inboundTransform: (topic, data) => rules.inbound(topic, data),
      outboundTransform: (_, data) => data,
    },
    fallbackToFloodsub: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    maxInboundDataLength: GOSSIP_FRAME_BYTES,
    maxTopicBytesPerPeer: TOPIC_BYTES,
    decodeRpcLimits: FRAME_ENTRIES,
    scoreThresholds: THRESHOLDS,
    scoreParams: {
      appSpecificScore: rules.score,
      appSpecificWeight: 1,
      // Many members behind one address are the rule here (a lab, an office, containers, all that come through one relay): with
      // libp2p's penalty 16 of them graylist each other. Sybils are kept out by admission, and an open network promises nothing.
      IPColocationFactorWeight: 0,
      // A peer that was suspended or restarts breaks a few promises of gossipsub's; libp2p's penalty would not listen to it for seconds.
      behaviourPenaltyWeight: -5,
      behaviourPenaltyThreshold: 6,
      behaviourPenaltyDecay: 0.8,
      // Who comes back begins anew in gossipsub whatever is retained; our own `score` is what remembers.
      retainScore: 10_000,
    },
  }
}
