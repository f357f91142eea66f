// Gossip by topic on top of gossipsub: for members only, with verdicts, scores, and who is there.
import { type GossipSub, gossipsub, TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import type { PeerScoreParams } from '@chainsafe/libp2p-gossipsub/score'
import type { PeerId as Libp2pPeerId } from '@libp2p/interface'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Network, Verdict } from '../ports.ts'
import { sha256 } from '../sha256.ts'
import { createGossipGate, type GossipGate } from './gossip-gate.ts'
import { type GossipRules, gossipOptions, TOPIC_SCORE } from './gossip-options.ts'
import { createPairs } from './gossip-pairs.ts'
import type { Node } from './libp2p-node.ts'
import type { Components } from './members-only.ts'
import type { Reputation } from './reputation.ts'
import { checkMessage } from './serving.ts'

type Subscription = Parameters<Network['subscribe']>[1]

const VERDICTS: Record<Verdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
}

/** Milliseconds after which it is looked again whether our stream to a new subscriber is open: of that gossipsub tells nothing. */
const RECHECK_MILLIS = 20

/** What gossipsub asks is answered from here; filled in as topics are subscribed to. */
export interface Topics extends GossipRules {
  subscriptions: Map<string, Subscription>
  reputation: Reputation
  gate: GossipGate
}

export function createTopics(reputation: Reputation): Topics {
  const subscriptions = new Map<string, Subscription>()
  return {
    subscriptions,
    reputation,
    gate: createGossipGate((peer) => reputation.isMember(peer.toString())),
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

/** Gossipsub, as libp2p makes its services. */
export const gossipService =
  (topics: Topics) =>
  (components: Components): GossipSub =>
    gossipsub(gossipOptions(topics))(topics.gate.around(components))

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
  const pairs = createPairs(node, topics.gate, reputation)
  const known = new Map<string, Set<PeerId>>()
  let cancelRecheck = () => {}
  let stopped = false

  /** Members that subscribe, and those of them that are reached. */
  function subscribers(topic: string): { all: number; reached: Set<PeerId> } {
    const members = stopped
      ? []
      : gossip.getSubscribers(topic).flatMap((peer) => {
          const id = peer.toString()
          return reputation.isMember(id) ? [{ id, peer }] : []
        })
    return { all: members.length, reached: new Set(members.flatMap(({ id, peer }) => (topics.gate.reaches(peer) ? [id] : []))) }
  }

  /** gossipsub tells of subscriptions but not of all departures, so who is there is compared with who was. */
  function update(): void {
    for (const [topic, { onPeer, onPeerGone }] of topics.subscriptions) {
      const was = known.get(topic) ?? new Set<PeerId>()
      const { all, reached: is } = subscribers(topic)
      known.set(topic, is)
      for (const peer of was) if (!is.has(peer)) onPeerGone?.(peer)
      for (const peer of is) {
        if (was.has(peer)) continue
        pairs.met(peer)
        onPeer?.(peer)
      }
      cancelRecheck()
      if (all > is.size) cancelRecheck = clock.after(RECHECK_MILLIS, update)
    }
  }

  /** Gossipsub keeps a score for a second; what the gate says counts at once. */
  function readmit(): void {
    scoresOf(gossip).clear()
    pairs.readmit()
    update()
  }

  const onHeartbeat = () => {
    update()
    pairs.expel()
    if (topics.subscriptions.size > 0) pairs.repair()
  }
  const onDisconnect = ({ detail }: CustomEvent<Libp2pPeerId>) => {
    pairs.forget(detail.toString())
    update()
  }
  gossip.addEventListener('subscription-change', update)
  gossip.addEventListener('gossipsub:heartbeat', onHeartbeat)
  node.addEventListener('peer:disconnect', onDisconnect)

  return {
    peers: () => [...new Set([...topics.subscriptions.keys()].flatMap((topic) => [...subscribers(topic).reached]))],
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
