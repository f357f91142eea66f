// The network port over libp2p: TCP or WebSockets, Noise, Yamux and gossipsub, with links that are kept up, peers that find each other, and bounded requests.
import { randomBytes } from 'node:crypto'
import type { ComponentLogger, Ed25519PrivateKey, Listener } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Libp2pOptions } from 'libp2p'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { systemClock } from '../peer/clock.ts'
import type { Network } from '../ports.ts'
import { dialOrder, parseAddress, rankAddresses } from './addresses.ts'
import { createDiscovery, type Discovery } from './discovery.ts'
import { createGossip, createTopics, type Gossip } from './gossip.ts'
import { connectedPeers, createNode, type Node, startNode } from './libp2p-node.ts'
import { dialPeer, linkTo, moveOver } from './links.ts'
import type { Allowed } from './members-only.ts'
import { findNearby } from './nearby.ts'
import { tellIfUnmapped } from './port-mapping.ts'
import { loadReach, type Reach } from './reach.ts'
import { keepConnected } from './redial.ts'
import { keepRelaySlots } from './relay-slots.ts'
import { createReputation } from './reputation.ts'
import { requestOver, serveStreams } from './requests.ts'
import { loopback, readScopes, SCOPES, type ScopeOf } from './scopes.ts'
import { createServing } from './serving.ts'
import { countProcesses, SESSION_BYTES, serveSession } from './session.ts'
import { createStrangers } from './strangers.ts'
import { createStreamMeter } from './stream-meter.ts'

/** Milliseconds after which what libp2p keeps of a stranger that has left is forgotten. */
const FORGET_MILLIS = 5000

export interface Libp2pNetworkOptions {
  privateKey: Ed25519PrivateKey
  /** Multiaddrs to listen on, such as `/ip4/0.0.0.0/tcp/4001`, or with `/ws`; port 0: any free one. Empty: nobody can dial this peer. */
  listen: string[]
  /** Addresses others can reach this peer at that it cannot see itself: behind NAT, or in a container. */
  announce?: string[]
  datastore?: Libp2pOptions['datastore']
  logger?: ComponentLogger
  /** Dial other members (default); without it only `connect` dials. */
  discovery?: boolean
  /** Look for members on the local network (default). */
  mdns?: boolean
  /** Relay for members that cannot be dialled (default). */
  relay?: boolean
  /** Ask the router to open a port; `onWarning` is told if it does not. */
  upnp?: boolean
  onWarning?: (message: string) => void
  /** Tests: this machine's own addresses count as those of another network. */
  loopbackIsFar?: boolean
}

interface Running {
  node: Node
  gossip: Gossip
  discovery: Discovery
  reach: Reach | undefined
  /** Where this peer can be reached: by itself, and through relays. */
  reached(): { direct: Multiaddr[]; relayed: Multiaddr[] }
  /** What stop() ends, in this order. */
  ends: (() => Promise<unknown> | unknown)[]
  life: AbortController
}

/** Not started. @throws bad-argument for an address to listen on or to announce that is not one */
export function createLibp2pNetwork(options: Libp2pNetworkOptions): Network {
  const {
    privateKey,
    listen,
    announce = [],
    discovery: discovers = true,
    mdns = true,
    relay = true,
    upnp = false,
    loopbackIsFar = false,
  } = options
  const self = peerIdFromPrivateKey(privateKey).toString()
  const clock = systemClock
  const random = Math.random
  const meter = { received: 0, sent: 0 }
  const streams = createStreamMeter()
  const serving = createServing(clock)
  const reputation = createReputation(clock)
  const strangers = createStrangers(clock)
  const session = new Uint8Array(randomBytes(SESSION_BYTES))
  let running: Running | undefined
  let changing: Promise<void> = Promise.resolve()
  checkAddresses(listen, announce)
  /** A network of one machine needs nobody to be reached from afar, and should start at once. */
  const hasAfar = loopbackIsFar || announce.length > 0 || !listen.every((address) => loopback(multiaddr(address)))

  function alive(): Running {
    if (running === undefined) throw new MurmurError('cancelled', 'The network is stopped.')
    return running
  }

  const connected = (node: Node): PeerId[] => [...connectedPeers(node).keys()]

  function scopes(): ScopeOf {
    const scopeOf = readScopes()
    return loopbackIsFar ? (address) => (loopback(address) ? SCOPES.elsewhere : scopeOf(address)) : scopeOf
  }

  async function begin(): Promise<void> {
    if (running !== undefined) return
    const topics = createTopics(reputation)
    const reach = hasAfar ? await loadReach((peer) => strangers.isMember(peer.toString()) === true, relay, upnp) : undefined
    const isStranger: Allowed = (peer) => strangers.isMember(peer.toString()) === false
    const parts = { privateKey, listen, announce, meter, streams, topics, gater: strangers.gater, isStranger, reach }
    const { datastore, logger } = options
    const node = await createNode({ ...parts, ...(datastore && { datastore }), ...(logger && { logger }) })
    const life = new AbortController()
    const listeners = new Set<Listener>()
    node.addEventListener('transport:listening', ({ detail }) => void listeners.add(detail))
    node.addEventListener('connection:open', ({ detail }) => strangers.onOpen(detail))
    node.addEventListener('connection:close', ({ detail }) => {
      strangers.onClose(detail)
      if (!life.signal.aborted) moveOver(node, detail)
    })
    node.addEventListener('peer:disconnect', ({ detail }) => {
      // Strangers can have any number of names. Later, as what else listens to this still looks for what is known of the peer.
      clock.after(FORGET_MILLIS, () => {
        if (strangers.isMember(detail.toString()) !== false || life.signal.aborted || node.getConnections(detail).length > 0) return
        node.peerStore.delete(detail).catch(() => {})
      })
    })
    await startNode(node, listen)
    const discovery = createDiscovery({
      self,
      clock,
      random,
      signal: life.signal,
      connections: () => connected(node),
      dial: (peer, addresses, signal) => dialPeer(node, peer, dialOrder(addresses, scopes()), signal),
    })
    const gossip = createGossip(node, topics, clock)
    const { onWarning = () => {} } = options
    const untold = upnp && reach ? tellIfUnmapped(reach.components(), clock, onWarning) : () => {}
    if (upnp && !reach) onWarning('The router is not asked to open a port: this peer listens on this machine only.')
    const ends = [() => life.abort(), untold, () => gossip.stop(), () => strangers.stop(), () => node.stop()]
    running = { node, gossip, discovery, reach, reached: watchReach(reach, listeners, life.signal), ends, life }
    if (discovers) discovery.start()
    serveSession(node, session, (peer) => strangers.isMember(peer) !== false)
    for (const protocol of serving.protocols()) serveStreams(node, protocol, serving, clock)
  }

  /** Keeps slots on relays where they are needed. */
  function watchReach(reach: Reach | undefined, listeners: ReadonlySet<Listener>, signal: AbortSignal): Running['reached'] {
    const listening = () => [...listeners].flatMap((listener) => listener.getAddrs())
    if (reach === undefined) return () => ({ direct: listening(), relayed: [] })
    const components = reach.components()
    const isMember = (peer: PeerId) => strangers.isMember(peer) === true
    const slots = keepRelaySlots({ components, clock, signal, scopeOf: scopes, isMember, announced: announce.length > 0 })
    // Others have seen, and dialled, some that no interface of this machine has.
    const confirmed = () => {
      const scopeOf = scopes()
      return components.addressManager.getAddresses().filter((address) => scopeOf(address) === SCOPES.internet)
    }
    return () => ({ direct: [...listening(), ...confirmed()], relayed: slots.addresses() })
  }

  async function end(): Promise<void> {
    if (running === undefined) return
    const { ends } = running
    running = undefined
    for (const each of ends) await each()
  }

  /** What cannot be had here, such as multicast in a container, is done without. */
  async function lookAround(now: Running, topic: string): Promise<void> {
    if (!discovers || !mdns || now.reach === undefined) return
    const endLook = await findNearby(now.reach.components(), topic, now.discovery.meet).catch(() => undefined)
    if (endLook === undefined) return
    if (running === now) now.ends.unshift(endLook)
    else await endLook()
  }

  return {
    self,
    addresses() {
      const { direct, relayed } = running?.reached() ?? { direct: [], relayed: [] }
      return rankAddresses(self, announce, direct, relayed)
    },
    peers: () => running?.gossip.peers() ?? [],
    connections: () => (running === undefined ? [] : connected(running.node)),
    async subscribe(topic, handlers) {
      const now = alive()
      now.gossip.subscribe(topic, handlers)
      await lookAround(now, topic)
    },
    publish: async (topic, message) => alive().gossip.publish(topic, message),
    async request(peer, protocol, body, extra) {
      const { node, discovery, life } = alive()
      return requestOver(node, peer, protocol, body, { ...extra, clock, life: life.signal, reach: discovery.reach })
    },
    serve(protocol, handler) {
      serving.set(protocol, handler)
      if (running !== undefined) serveStreams(running.node, protocol, serving, clock)
    },
    async connect(text, { signal, onRetry, isWanted = () => true } = {}) {
      const { node, life } = alive()
      const address = parseAddress(text)
      if (address.peer === self) throw new MurmurError('bad-join-line', `${text} is this peer's own address; name another peer's.`)
      const ended = AbortSignal.any([life.signal, ...(signal ? [signal] : [])])
      return keepConnected(linkTo(node, address, strangers.spare, isWanted), { clock, random, signal: ended, ...(onRetry && { onRetry }) })
    },
    admit(gate) {
      reputation.admit(gate)
      serving.admit(gate)
      strangers.admit(gate)
      running?.gossip.readmit()
    },
    learn: (peer, addresses) => running?.discovery.learn(peer, addresses),
    blame: reputation.blame,
    processes: async (peer) => (running === undefined ? 0 : countProcesses(running.node, peer, clock)),
    traffic: () => ({ ...meter }),
    protocols: streams.flows,
    start() {
      changing = changing.catch(() => {}).then(begin)
      return changing
    },
    stop() {
      changing = changing.catch(() => {}).then(end)
      return changing
    },
  }
}

function checkAddresses(listen: readonly string[], announce: readonly string[]): void {
  const tcp = /^\/(ip4|ip6)\/[^/]+\/tcp\/\d+(\/ws)?$/
  for (const text of listen) {
    if (tcp.test(text) && isMultiaddr(text)) continue
    throw new MurmurError(
      'bad-argument',
      `"${text}" is not an address to listen on; one has the form /ip4/0.0.0.0/tcp/4001, or /ip4/0.0.0.0/tcp/4002/ws.`,
    )
  }
  for (const text of announce) {
    try {
      parseAddress(text)
    } catch (cause) {
      throw new MurmurError('bad-argument', `"${text}" is not an address to announce; one has the form /ip4/203.0.113.5/tcp/4001.`, {
        cause,
      })
    }
  }
}

function isMultiaddr(text: string): boolean {
  try {
    multiaddr(text)
    return true
  } catch {
    return false
  }
}
