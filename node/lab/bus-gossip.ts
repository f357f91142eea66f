// Gossip on the bus: it floods hop by hop as on a real network; a message goes on from a peer only once that peer has accepted it.
import { toString as toText } from 'uint8arrays/to-string'
import type { PeerId } from '../../protocol/identity.ts'
import type { Clock } from '../ports.ts'
import type { BusNode, Links, Subscription } from './bus-links.ts'

/** How long a message id is remembered, as long as gossipsub's seen cache does. */
const SEEN_MILLIS = 120_000

/** Sends a message of a running peer to the topic's subscribers; returns how many direct recipients there are. */
export function createFlood(
  { nodes, around, linked, cross }: Links,
  clock: Clock,
): (from: BusNode, topic: string, message: Uint8Array) => number {
  /** Who has a message or is being sent it, by topic and id; the oldest first. */
  const spreading = new Map<string, { at: number; have: Set<PeerId> }>()

  /** Sends on to linked members that subscribe and neither have the message nor are being sent it; returns how many. */
  function spread(from: PeerId, topic: string, key: string, message: Uint8Array): number {
    const have = spreading.get(key)?.have
    const source = nodes.get(from)
    // Itself among them, so that most of a flood's work is this one look.
    if (have === undefined || source === undefined || have.size >= nodes.size) return 0
    let recipients = 0
    for (const node of around(from)) {
      if (have.has(node.id) || !node.subscriptions.has(topic) || !linked(from, node.id)) continue
      // Who has just been put out still hears of it, as in gossipsub.
      if (!source.reputation.isMember(node.id) && !source.known.has(node.id)) continue
      have.add(node.id)
      recipients++
      const sent = cross({ from, to: node.id, kind: 'gossip', length: message.length, bytes: message }, (target) =>
        receive(target, from, topic, key, message),
      )
      // What one neighbour lost, another may still bring.
      if (!sent) have.delete(node.id)
    }
    return recipients
  }

  async function receive(node: BusNode, from: PeerId, topic: string, key: string, message: Uint8Array): Promise<void> {
    const subscription = node.subscriptions.get(topic)
    if (subscription === undefined || !node.reputation.isHeard(from)) return
    let verdict = 'ignore'
    try {
      verdict = await subscription.validate(message, from)
    } catch {
      // A validator that fails judges nobody, as in gossipsub.
    }
    if (verdict === 'accept' && nodes.get(node.id) === node) spread(node.id, topic, key, message)
  }

  function forgetOld(): void {
    for (const [key, { at }] of spreading) {
      if (clock.now() - at < SEEN_MILLIS) break
      spreading.delete(key)
    }
  }

  return ({ id, subscriptions }, topic, message) => {
    forgetOld()
    const judge = subscriptions.get(topic) ?? [...nodes.values()].find((other) => other.subscriptions.has(topic))?.subscriptions.get(topic)
    if (judge === undefined) return 0
    const key = `${topic} ${idOf(judge, message)}`
    if (spreading.get(key)?.have.has(id)) return 0
    const flight = spreading.get(key) ?? { at: clock.now(), have: new Set() }
    flight.have.add(id)
    spreading.set(key, flight)
    return spread(id, topic, key, message)
  }
}

function idOf(subscription: Subscription, message: Uint8Array): string {
  try {
    return toText(subscription.messageId(message), 'hex')
  } catch {
    return toText(message, 'hex')
  }
}
