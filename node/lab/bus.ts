// The network port in memory: many peers in one process, deterministic under a virtual clock, with links that tests can cut.
// Gossip floods hop by hop as on a real network: a message goes on from a peer only once that peer has accepted it.
import { toString as toText } from 'uint8arrays/to-string'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { createPrng } from '../../protocol/prng.ts'
import { deadline } from '../host/deadline.ts'
import { keepConnected } from '../host/redial.ts'
import { createReputation, type Reputation } from '../host/reputation.ts'
import {
  cancelledRequest,
  checkMessage,
  checkRequest,
  createServing,
  type Handler,
  readReply,
  type Serving,
  unreachable,
} from '../host/serving.ts'
import type { Clock, Gate, Network } from '../ports.ts'

type Subscription = Parameters<Network['subscribe']>[1]

/** What is about to cross a link. */
export interface Transit {
  from: PeerId
  to: PeerId
  kind: 'gossip' | 'request' | 'response'
  bytes: Uint8Array
}

export interface BusOptions {
  clock: Clock
  /** Uniform in [0, 1); seeded by default, so that the same run gives the same jitter. */
  random?: () => number
  /** Milliseconds a message takes, for all links or for each one; default 0. */
  delayMillis?: number | ((from: PeerId, to: PeerId) => number)
}

export interface Bus {
  /** The port of one peer. All started peers are linked unless cut apart. */
  network(peer: PeerId): Network
  /** Links peers only within a group; those in no group form one of their own. */
  partition(groups: readonly (readonly PeerId[])[]): void
  /** Undoes partitions and cuts. */
  heal(): void
  /** Takes one link away, or gives it back. */
  cut(a: PeerId, b: PeerId): void
  mend(a: PeerId, b: PeerId): void
  /** Loses what `lose` says yes to; without an argument nothing is lost any more. */
  lose(lose?: (transit: Transit) => boolean): void
}

interface Node {
  id: PeerId
  subscriptions: Map<string, Subscription>
  serving: Serving
  reputation: Reputation
  /** Peers that were members once, and those that are none any more: their links are gone. */
  isGated(): boolean
  admitted: Set<PeerId>
  expelled: Set<PeerId>
  /** Peers that were told to the subscriber. */
  known: Set<PeerId>
  /** Requests on the way, failed when their link goes. */
  asking: Set<{ peer: PeerId; fail(why: string): void }>
  traffic: { received: number; sent: number }
}

/** How long a message id is remembered, as long as gossipsub's seen cache does. */
const SEEN_MILLIS = 120_000

const addressOf = (peer: PeerId): string => `/memory/${peer}/p2p/${peer}`

export function createBus(options: BusOptions): Bus {
  const { clock, delayMillis = 0 } = options
  const random = options.random ?? createPrng('bus').next
  const nodes = new Map<PeerId, Node>()
  const cuts = new Set<string>()
  let groupOf: ((peer: PeerId) => number) | undefined
  let isLost: (transit: Transit) => boolean = () => false
  /** Who has a message or is being sent it, by topic and id. */
  const spreading = new Map<string, { at: number; have: Set<PeerId> }>()
  const changed = new Set<() => void>()

  const linkName = (a: PeerId, b: PeerId) => (a < b ? `${a} ${b}` : `${b} ${a}`)
  const linked = (a: PeerId, b: PeerId): boolean =>
    a !== b &&
    nodes.has(a) &&
    nodes.has(b) &&
    !nodes.get(a)?.expelled.has(b) &&
    !nodes.get(b)?.expelled.has(a) &&
    (groupOf === undefined || groupOf(a) === groupOf(b)) &&
    (cuts.size === 0 || !cuts.has(linkName(a, b)))

  /** Calls `act` when the bytes have arrived; returns false where they will not. */
  function cross(transit: Transit, act: (target: Node) => void): boolean {
    const source = nodes.get(transit.from)
    const target = nodes.get(transit.to)
    if (source === undefined || target === undefined || !linked(source.id, target.id)) return false
    source.traffic.sent += transit.bytes.length
    if (isLost(transit)) return false
    const millis = typeof delayMillis === 'number' ? delayMillis : delayMillis(transit.from, transit.to)
    clock.after(millis, () => {
      // A peer that restarted meanwhile is another connection: what was under way is lost.
      if (nodes.get(transit.to) !== target || !linked(transit.from, transit.to)) return
      target.traffic.received += transit.bytes.length
      act(target)
    })
    return true
  }

  function idOf(subscription: Subscription, message: Uint8Array): string {
    try {
      return toText(subscription.messageId(message), 'hex')
    } catch {
      return toText(message, 'hex')
    }
  }

  /** Sends on to linked members that subscribe and neither have the message nor are being sent it; returns how many. */
  function spread(from: PeerId, topic: string, key: string, message: Uint8Array): number {
    const have = spreading.get(key)?.have
    const source = nodes.get(from)
    if (have === undefined || source === undefined) return 0
    let recipients = 0
    for (const node of nodes.values()) {
      if (have.has(node.id) || !node.subscriptions.has(topic) || !linked(from, node.id)) continue
      // Who has just been put out still hears of it, as in gossipsub.
      if (!source.reputation.isMember(node.id) && !source.known.has(node.id)) continue
      have.add(node.id)
      recipients++
      const sent = cross({ from, to: node.id, kind: 'gossip', bytes: message }, (target) => receive(target, from, topic, key, message))
      // What one neighbour lost, another may still bring.
      if (!sent) have.delete(node.id)
    }
    return recipients
  }

  async function receive(node: Node, from: PeerId, topic: string, key: string, message: Uint8Array): Promise<void> {
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

  const shareTopic = (a: Node, b: Node) => [...a.subscriptions.keys()].some((topic) => b.subscriptions.has(topic))
  const sees = (node: Node, other: Node | undefined): other is Node =>
    other !== undefined && linked(node.id, other.id) && node.reputation.isMember(other.id) && shareTopic(node, other)

  /** Tells `node` that `peer` has come or gone, where that is news. */
  function introduce(node: Node, peer: PeerId): void {
    const seen = sees(node, nodes.get(peer))
    if (seen === node.known.has(peer)) return
    if (seen) node.known.add(peer)
    else node.known.delete(peer)
    if (seen && node.isGated()) node.admitted.add(peer)
    for (const { onPeer, onPeerGone } of node.subscriptions.values()) {
      const tell = seen ? onPeer : onPeerGone
      if (tell) clock.after(0, () => nodes.get(node.id) === node && tell(peer))
    }
  }

  /** After any change: of one peer, or of the links between all. */
  function update(peer?: PeerId): void {
    for (const node of [...nodes.values()]) {
      for (const other of peer === undefined ? [...nodes.keys()] : [peer]) {
        if (other === node.id) continue
        introduce(node, other)
        const mate = nodes.get(other)
        if (mate !== undefined && peer !== undefined) introduce(mate, node.id)
      }
      for (const request of [...node.asking]) if (!linked(node.id, request.peer)) request.fail('the link was lost')
    }
    for (const look of [...changed]) look()
  }

  function networkOf(self: PeerId): Network {
    const serving = createServing(clock)
    const reputation = createReputation(clock)
    let gate: Gate | undefined
    let node: Node | undefined
    let life = new AbortController()
    const traffic = { received: 0, sent: 0 }

    function running(): Node {
      if (node === undefined) throw new MurmurError('cancelled', 'The network is stopped.')
      return node
    }

    /** Who was let in and is no member any more loses its link. A stranger keeps it: it may yet be let in. */
    function ask({ admitted, expelled }: Node): void {
      if (gate === undefined) return
      for (const peer of new Set([...nodes.keys(), ...admitted])) {
        if (gate.isMember(peer)) {
          admitted.add(peer)
          expelled.delete(peer)
        } else if (admitted.has(peer)) expelled.add(peer)
      }
    }

    return {
      self,
      addresses: () => [addressOf(self)],
      peers: () => (node === undefined ? [] : [...nodes.values()].filter((other) => sees(running(), other)).map((other) => other.id)),
      connections: () => [...nodes.keys()].filter((other) => linked(self, other)),
      async subscribe(topic, handlers) {
        running().subscriptions.set(topic, handlers)
        update(self)
      },
      async publish(topic, message) {
        const { id, subscriptions } = running()
        checkMessage(message, topic)
        forgetOld()
        const judge =
          subscriptions.get(topic) ?? [...nodes.values()].find((other) => other.subscriptions.has(topic))?.subscriptions.get(topic)
        if (judge === undefined) return 0
        const key = `${topic} ${idOf(judge, message)}`
        if (spreading.get(key)?.have.has(id)) return 0
        const flight = spreading.get(key) ?? { at: clock.now(), have: new Set() }
        flight.have.add(id)
        spreading.set(key, flight)
        return spread(id, topic, key, message)
      },
      async request(peer, protocol, body, { signal, timeout = LIMITS.requestMillis } = {}) {
        const { asking } = running()
        checkRequest(body, protocol)
        if (!linked(self, peer)) throw unreachable(peer, 'not connected')
        const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
        const limit = deadline(clock, timeout, signal, life.signal)
        const request = { peer, fail: (why: string) => reject(unreachable(peer, why)) }
        const onEnd = () => reject(limit.why === 'timeout' ? unreachable(peer, `no answer within ${timeout} ms`) : cancelledRequest())
        if (limit.signal.aborted) onEnd()
        limit.signal.addEventListener('abort', onEnd, { once: true })
        asking.add(request)
        try {
          cross({ from: self, to: peer, kind: 'request', bytes: body }, async (target) => {
            const reply = await target.serving.answer(protocol, body, self, addressOf(self))
            cross({ from: peer, to: self, kind: 'response', bytes: reply }, () => resolve(reply))
          })
          return readReply(await promise, peer)
        } finally {
          asking.delete(request)
          limit.clear()
        }
      },
      serve: (protocol: string, handler: Handler) => serving.set(protocol, handler),
      async connect(address, { signal, onRetry } = {}) {
        const peer = peerOf(address)
        if (peer === self) throw new MurmurError('bad-join-line', `${address} is this peer's own address; name another peer's.`)
        const ending = new AbortController()
        for (const each of [life.signal, signal]) {
          if (each?.aborted) ending.abort()
          each?.addEventListener('abort', () => ending.abort(), { once: true })
        }
        const link = {
          async dial() {
            if (!linked(self, peer)) throw new Error(nodes.has(peer) ? 'cut off' : 'not running')
            return peer
          },
          lost: (_: PeerId, ended: AbortSignal) =>
            new Promise<void>((resolve) => {
              const look = () => {
                if (linked(self, peer) && !ended.aborted) return
                changed.delete(look)
                ended.removeEventListener('abort', look)
                resolve()
              }
              changed.add(look)
              ended.addEventListener('abort', look, { once: true })
              look()
            }),
        }
        return keepConnected(link, { clock, random, signal: ending.signal, ...(onRetry && { onRetry }) })
      },
      admit(next) {
        gate = next
        serving.admit(next)
        reputation.admit(next)
        if (node !== undefined) ask(node)
        update(self)
      },
      // All started peers are linked: nobody has to be dialled, and each id runs once.
      learn() {},
      blame: reputation.blame,
      async processes(peer) {
        return linked(self, peer) ? 1 : 0
      },
      traffic: () => ({ ...traffic }),
      async start() {
        if (node !== undefined) return
        if (nodes.has(self)) throw new MurmurError('port-in-use', `Peer ${self} runs on this bus already; stop it first.`)
        life = new AbortController()
        const sets = { known: new Set<PeerId>(), admitted: new Set<PeerId>(), expelled: new Set<PeerId>() }
        node = {
          id: self,
          subscriptions: new Map(),
          serving,
          reputation,
          isGated: () => gate !== undefined,
          ...sets,
          asking: new Set(),
          traffic,
        }
        nodes.set(self, node)
        update(self)
      },
      async stop() {
        if (node === undefined) return
        const stopped = node
        node = undefined
        life.abort()
        nodes.delete(self)
        stopped.subscriptions.clear()
        update(self)
      },
    }
  }

  return {
    network: networkOf,
    partition(groups) {
      const index = new Map(groups.flatMap((group, i) => group.map((peer) => [peer, i] as const)))
      groupOf = (peer) => index.get(peer) ?? -1
      update()
    },
    heal() {
      groupOf = undefined
      cuts.clear()
      update()
    },
    cut(a, b) {
      cuts.add(linkName(a, b))
      update()
    },
    mend(a, b) {
      cuts.delete(linkName(a, b))
      update()
    },
    lose(lose = () => false) {
      isLost = lose
    },
  }
}

function peerOf(address: string): PeerId {
  const [, peer] = /^\/memory\/([^/]+)(?:\/p2p\/\1)?$/.exec(address) ?? []
  if (peer === undefined) {
    throw new MurmurError(
      'bad-join-line',
      `"${address.slice(0, 80)}" is not an address on this bus; one has the form ${addressOf('PEER')}.`,
    )
  }
  return peer
}
