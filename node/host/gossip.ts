// Gossip by topic on top of gossipsub: verdicts, scores, who is there, and repair of pairs whose gossip has silently ended.
import { TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import type { PeerScoreParams, TopicScoreParams } from '@chainsafe/libp2p-gossipsub/score'
import type { PeerId as Libp2pPeerId, Stream } from '@libp2p/interface'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Network, Verdict } from '../ports.ts'
import { sha256 } from '../sha256.ts'
import type { Node } from './libp2p-node.ts'
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

/** Heartbeats (1 s) without a stream of ours to a peer after which its connection is begun anew: opening one takes less. */
const SILENT_HEARTBEATS = 3

/** Milliseconds after which it is looked again whether our stream to a new subscriber is open: of that gossipsub tells nothing. */
const RECHECK_MILLIS = 20

/** What gossipsub asks about a message before anything else; filled in as topics are subscribed to. */
export interface GossipRules {
  messageId(topic: string, message: Uint8Array): Uint8Array
  /** @throws where the message is not to be looked at: gossipsub holds its sender to account */
  inbound(topic: string, message: Uint8Array): Uint8Array
}

export interface Topics extends GossipRules {
  subscriptions: Map<string, Subscription>
}

export function createTopics(): Topics {
  const subscriptions = new Map<string, Subscription>()
  return {
    subscriptions,
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
  stop(): void
}

/** On a started node. `onPeers` runs after peers have come. */
export function createGossip(node: Node, topics: Topics, clock: Clock, onPeers: (come: PeerId[]) => void): Gossip {
  const { gossip } = node.services
  const known = new Map<string, Set<PeerId>>()
  /** Everyone who has gossiped with us on its present connection. */
  const spoke = new Set<PeerId>()
  const silent = new Map<PeerId, number>()
  let cancelRecheck = () => {}
  let stopped = false

  const isOurs = (stream: Stream) =>
    stream.direction === 'outbound' && stream.writeStatus === 'writable' && gossip.protocols.includes(stream.protocol)
  /** Subscriptions arrive on the other side's stream, often before our own is open: until then nothing we publish would reach that peer. */
  const reaches = (peer: Libp2pPeerId) => node.getConnections(peer).some(({ streams }) => streams.some(isOurs))

  const subscribers = (topic: string): Set<PeerId> =>
    new Set(stopped ? [] : gossip.getSubscribers(topic).flatMap((peer) => (reaches(peer) ? [peer.toString()] : [])))

  /** gossipsub tells of subscriptions but not of all departures, so who is there is compared with who was. */
  function update(): void {
    for (const [topic, { onPeer, onPeerGone }] of topics.subscriptions) {
      const was = known.get(topic) ?? new Set<PeerId>()
      const is = subscribers(topic)
      known.set(topic, is)
      for (const peer of was) if (!is.has(peer)) onPeerGone?.(peer)
      const come = [...is].filter((peer) => !was.has(peer))
      for (const peer of come) {
        spoke.add(peer)
        onPeer?.(peer)
      }
      if (come.length > 0) onPeers(come)
      cancelRecheck()
      if (!stopped && gossip.getSubscribers(topic).length > is.size) cancelRecheck = clock.after(RECHECK_MILLIS, update)
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
      if ((!gossiping.has(id) && !spoke.has(id)) || reaches(peer)) {
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

  const onHeartbeat = () => {
    update()
    repair()
  }
  const onDisconnect = ({ detail }: CustomEvent<Libp2pPeerId>) => {
    spoke.delete(detail.toString())
    silent.delete(detail.toString())
    update()
  }
  gossip.addEventListener('subscription-change', update)
  gossip.addEventListener('gossipsub:heartbeat', onHeartbeat)
  node.addEventListener('peer:disconnect', onDisconnect)

  return {
    peers: () => [...new Set([...topics.subscriptions.keys()].flatMap((topic) => [...subscribers(topic)]))],
    subscribe(topic, handlers) {
      topics.subscriptions.set(topic, handlers)
      scoreTopic(gossip, topic)
      gossip.topicValidators.set(topic, async (from, message) => VERDICTS[await handlers.validate(message.data, from.toString())])
      gossip.subscribe(topic)
      update()
    },
    async publish(topic, message) {
      checkMessage(message, topic)
      const { recipients } = await gossip.publish(topic, message)
      return recipients.length
    },
    stop() {
      stopped = true
      cancelRecheck()
      gossip.removeEventListener('subscription-change', update)
      gossip.removeEventListener('gossipsub:heartbeat', onHeartbeat)
      node.removeEventListener('peer:disconnect', onDisconnect)
    },
  }
}

/** The topic is known only when the task is, long after gossipsub was made; its options are public on the class, though not on the interface. */
function scoreTopic(gossip: object, topic: string): void {
  const { opts } = gossip as { opts?: { scoreParams?: PeerScoreParams } }
  if (opts?.scoreParams === undefined) {
    throw new MurmurError('internal', 'gossipsub does not show its score parameters; this version of it is not supported.')
  }
  opts.scoreParams.topics[topic] = TOPIC_SCORE
}
