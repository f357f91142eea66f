// Gossip by topic on top of gossipsub: verdicts, scores, who is there, and repair of pairs whose gossip has silently ended.
import { type GossipsubOpts, TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import type { PeerScoreParams, TopicScoreParams } from '@chainsafe/libp2p-gossipsub/score'
import type { PeerId as Libp2pPeerId, Stream } from '@libp2p/interface'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Network, Verdict } from '../ports.ts'
import { sha256 } from '../sha256.ts'
import type { Node } from './libp2p-node.ts'
import { GRAYLIST_SCORE, type Reputation } from './reputation.ts'
import { checkMessage } from './serving.ts'

type Subscription = Parameters<Network['subscribe']>[1]

const VERDICTS: Record<Verdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
}

/**
 * Without an entry for its topic, gossipsub scores nothing and a rejected message costs its sender nothing. With this, the third one in a
 * row puts it below the graylist threshold (-80), for about a minute. Ours is a slow topic: a peer is never at fault for delivering little.
 */
const TOPIC_SCORE: TopicScoreParams = {
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

/** How gossipsub is set up. Each value replaces a default that breaks a network of peers that train, most of them without a word. */
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

/** Heartbeats (1 s) without a stream of ours to a peer after which its connection is begun anew: opening one takes less. */
const SILENT_HEARTBEATS = 3

/** Milliseconds after which it is looked again whether our stream to a new subscriber is open: of that gossipsub tells nothing. */
const RECHECK_MILLIS = 20

/** What gossipsub asks about a message before anything else; filled in as topics are subscribed to. */
export interface GossipRules {
  messageId(topic: string, message: Uint8Array): Uint8Array
  /** @throws where the message is not to be looked at: gossipsub holds its sender to account */
  inbound(topic: string, message: Uint8Array): Uint8Array
  /** What is to be added to a peer's score. */
  score(peer: PeerId): number
}

export interface Topics extends GossipRules {
  subscriptions: Map<string, Subscription>
  reputation: Reputation
}

export function createTopics(reputation: Reputation): Topics {
  const subscriptions = new Map<string, Subscription>()
  return {
    subscriptions,
    reputation,
    score: reputation.score,
    messageId(topic, message) {
      try {
        const id = subscriptions.get(topic)?.messageId(message)
        if (id !== undefined) return id
      } catch {
        // Not a message of ours: the validator will say so, if it gets to see it.
      }
      return sha256(message)
    },
    inbound(topic, message) {
      if (!subscriptions.has(topic)) throw new MurmurError('bad-argument', 'a message on a topic that is not subscribed to')
      if (message.length > LIMITS.gossipBytes) throw new MurmurError('limit-exceeded', `a gossip message of ${message.length} bytes`)
      return message
    },
  }
}

export interface Gossip {
  /** Connected peers subscribed to one of our topics. */
  peers(): PeerId[]
  subscribe(topic: string, handlers: Subscription): void
  publish(topic: string, message: Uint8Array): Promise<number>
  /** After the gate has changed. */
  readmit(): void
  stop(): void
}

/** On a started node. */
export function createGossip(node: Node, topics: Topics, clock: Clock): Gossip {
  const { gossip } = node.services
  const { reputation } = topics
  const known = new Map<string, Set<PeerId>>()
  /** Everyone who has gossiped with us on its present connection. */
  const spoke = new Set<PeerId>()
  const silent = new Map<PeerId, number>()
  /** Connected peers that were strangers on their present connection: what they subscribed to was not listened to. */
  const unheard = new Set<PeerId>()
  let cancelRecheck = () => {}
  let stopped = false

  const isOurs = (stream: Stream) =>
    stream.direction === 'outbound' && stream.writeStatus === 'writable' && gossip.protocols.includes(stream.protocol)
  /** Subscriptions arrive on the other side's stream, often before our own is open: until then nothing we publish would reach that peer. */
  const reaches = (peer: Libp2pPeerId) => node.getConnections(peer).some(({ streams }) => streams.some(isOurs))

  const subscribers = (topic: string): Set<PeerId> =>
    new Set(
      stopped
        ? []
        : gossip.getSubscribers(topic).flatMap((peer) => (reputation.isMember(peer.toString()) && reaches(peer) ? [peer.toString()] : [])),
    )

  const subscribes = (peer: PeerId) =>
    [...topics.subscriptions.keys()].some((topic) => gossip.getSubscribers(topic).some((other) => other.toString() === peer))

  /** gossipsub tells of subscriptions but not of all departures, so who is there is compared with who was. */
  function update(): void {
    for (const [topic, { onPeer, onPeerGone }] of topics.subscriptions) {
      const was = known.get(topic) ?? new Set<PeerId>()
      const is = subscribers(topic)
      known.set(topic, is)
      for (const peer of was) if (!is.has(peer)) onPeerGone?.(peer)
      for (const peer of is) {
        if (was.has(peer)) continue
        spoke.add(peer)
        onPeer?.(peer)
      }
      cancelRecheck()
      const members = gossip.getSubscribers(topic).filter((peer) => reputation.isMember(peer.toString()))
      if (!stopped && members.length > is.size) cancelRecheck = clock.after(RECHECK_MILLIS, update)
    }
  }

  /**
   * Gossip between two connected peers ends for good where gossipsub has dropped the pair: after one frame that was too long, or when the
   * one of two connections that carried its stream has closed. A new connection heals both.
   */
  function repair(): void {
    const gossiping = new Set(gossip.getPeers().map(String))
    for (const peer of node.getPeers()) {
      const id = peer.toString()
      if (!reputation.isMember(id) || (!gossiping.has(id) && !spoke.has(id)) || reaches(peer)) {
        silent.delete(id)
        continue
      }
      const beats = (silent.get(id) ?? 0) + 1
      silent.set(id, beats)
      if (beats < SILENT_HEARTBEATS) continue
      silent.delete(id)
      node.hangUp(peer).catch(() => {})
    }
  }

  /**
   * Who has become a member is listened to from now on, but has said what it subscribes to when nobody listened, and says it once a connection:
   * a new one heals that. Gossipsub keeps a score for a second; what the gate says counts at once.
   */
  function readmit(): void {
    scoresOf(gossip).clear()
    for (const peer of node.getPeers()) {
      const id = peer.toString()
      if (!reputation.isMember(id)) unheard.add(id)
      else if (unheard.delete(id) && !subscribes(id)) node.hangUp(peer).catch(() => {})
    }
    update()
  }

  const onHeartbeat = () => {
    update()
    repair()
  }
  const onConnect = ({ detail }: CustomEvent<Libp2pPeerId>) => {
    if (!reputation.isMember(detail.toString())) unheard.add(detail.toString())
  }
  const onDisconnect = ({ detail }: CustomEvent<Libp2pPeerId>) => {
    for (const each of [spoke, silent, unheard]) each.delete(detail.toString())
    update()
  }
  gossip.addEventListener('subscription-change', update)
  gossip.addEventListener('gossipsub:heartbeat', onHeartbeat)
  node.addEventListener('peer:connect', onConnect)
  node.addEventListener('peer:disconnect', onDisconnect)

  return {
    peers: () => [...new Set([...topics.subscriptions.keys()].flatMap((topic) => [...subscribers(topic)]))],
    subscribe(topic, handlers) {
      topics.subscriptions.set(topic, handlers)
      scoreTopic(gossip, topic)
      gossip.topicValidators.set(topic, async (from, message) => {
        // Gossipsub lets a good peer pass for a second after it has fallen.
        if (!reputation.isHeard(from.toString())) return TopicValidatorResult.Ignore
        return VERDICTS[await handlers.validate(message.data, from.toString())]
      })
      gossip.subscribe(topic)
      update()
    },
    async publish(topic, message) {
      checkMessage(message, topic)
      const { recipients } = await gossip.publish(topic, message)
      return recipients.length
    },
    readmit,
    stop() {
      stopped = true
      cancelRecheck()
      gossip.removeEventListener('subscription-change', update)
      gossip.removeEventListener('gossipsub:heartbeat', onHeartbeat)
      node.removeEventListener('peer:connect', onConnect)
      node.removeEventListener('peer:disconnect', onDisconnect)
    },
  }
}

/** What gossipsub has on its class, though not on its interface. @throws internal where a new version of it has not */
function innards(gossip: object): { scoreParams: PeerScoreParams; scoreCache: Map<PeerId, unknown> } {
  const { opts, score } = gossip as { opts?: { scoreParams?: PeerScoreParams }; score?: { scoreCache?: unknown } }
  if (opts?.scoreParams !== undefined && score?.scoreCache instanceof Map) {
    return { scoreParams: opts.scoreParams, scoreCache: score.scoreCache }
  }
  throw new MurmurError('internal', 'gossipsub does not show its score parameters; this version of it is not supported.')
}

/** The topic is known only when the task is, long after gossipsub was made. */
const scoreTopic = (gossip: object, topic: string): void => {
  innards(gossip).scoreParams.topics[topic] = TOPIC_SCORE
}

/** Scores as they were computed last, by peer. */
const scoresOf = (gossip: object): Map<PeerId, unknown> => innards(gossip).scoreCache
