// The network port over libp2p: TCP, Noise, Yamux and gossipsub, with links that are kept up, peers that find each other, and bounded requests.
import type { ComponentLogger, Ed25519PrivateKey, PeerId as Libp2pPeerId, Listener } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2pOptions } from 'libp2p'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { systemClock } from '../peer/clock.ts'
import type { Network } from '../ports.ts'
import { type Address, loopback, parseAddress, rankAddresses } from './addresses.ts'
import { createDiscovery, PEERS_PROTOCOL } from './discovery.ts'
import { createGossip, createTopics, type Gossip } from './gossip.ts'
import { createNode, type Node, startNode } from './libp2p-node.ts'
import { keepConnected, type Link } from './redial.ts'
import { requestOver, serveStreams } from './requests.ts'
import { createServing } from './serving.ts'

/** Milliseconds a dial may take: a handshake across the world takes one second. */
const DIAL_MILLIS = 6000

export interface Libp2pNetworkOptions {
  privateKey: Ed25519PrivateKey
  /** Multiaddrs to listen on, such as `/ip4/0.0.0.0/tcp/4001`; port 0: any free one. */
  listen: string[]
  /** Addresses others can reach this peer at that it cannot see itself: behind NAT, or in a container. */
  announce?: string[]
  datastore?: Libp2pOptions['datastore']
  logger?: ComponentLogger
  /** Find other members through those connected (default); without it only `connect` dials. */
  discovery?: boolean
}

interface Running {
  node: Node
  gossip: Gossip
  /** Aborted by stop(). */
  life: AbortController
  listeners: Set<Listener>
}

/** Not started. @throws bad-argument for an address to listen on or to announce that is not one */
export function createLibp2pNetwork(options: Libp2pNetworkOptions): Network {
  const { privateKey, listen, announce = [], discovery: discovers = true } = options
  const self = peerIdFromPrivateKey(privateKey).toString()
  const clock = systemClock
  const random = Math.random
  const meter = { received: 0, sent: 0 }
  const serving = createServing()
  let running: Running | undefined
  let changing: Promise<void> = Promise.resolve()
  checkAddresses(listen, announce)

  function alive(): Running {
    if (running === undefined) throw new MurmurError('cancelled', 'The network is stopped.')
    return running
  }

  const connected = (node: Node): PeerId[] => node.getPeers().map(String)
  const addresses = (): string[] =>
    rankAddresses(
      self,
      announce,
      [...(running?.listeners ?? [])].flatMap((listener) => listener.getAddrs()),
    )

  async function begin(): Promise<void> {
    if (running !== undefined) return
    const topics = createTopics()
    const parts = { privateKey, listen, announce, meter, rules: topics }
    const { datastore, logger } = options
    const node = await createNode({ ...parts, ...(datastore && { datastore }), ...(logger && { logger }) })
    const listeners = new Set<Listener>()
    node.addEventListener('transport:listening', ({ detail }) => void listeners.add(detail))
    await startNode(node, listen)
    const life = new AbortController()
    const discovery = createDiscovery({
      self,
      clock,
      random,
      signal: life.signal,
      addresses,
      members: () => running?.gossip.peers() ?? [],
      connections: () => connected(node),
      isLocal: (peer) => node.getConnections(peerIdFromString(peer)).every(({ remoteAddr }) => loopback(remoteAddr)),
      dial: (list, signal) =>
        node.dial(
          list.map((text) => multiaddr(text)),
          dialOptions(signal),
        ),
      request: (peer, protocol, body, extra) => requestOver(node, peer, protocol, body, { ...extra, clock, life: life.signal }),
    })
    const gossip = createGossip(node, topics, clock, (come) => {
      if (discovers) discovery.meet(come)
    })
    running = { node, gossip, life, listeners }
    if (discovers) {
      serving.set(PEERS_PROTOCOL, discovery.answer)
      discovery.start()
    }
    for (const protocol of serving.protocols()) serveStreams(node, protocol, serving, clock)
  }

  async function end(): Promise<void> {
    if (running === undefined) return
    const { node, gossip, life } = running
    running = undefined
    life.abort()
    gossip.stop()
    await node.stop()
  }

  return {
    self,
    addresses,
    peers: () => running?.gossip.peers() ?? [],
    connections: () => (running === undefined ? [] : connected(running.node)),
    async subscribe(topic, handlers) {
      alive().gossip.subscribe(topic, handlers)
    },
    publish: async (topic, message) => alive().gossip.publish(topic, message),
    async request(peer, protocol, body, extra) {
      const { node, life } = alive()
      return requestOver(node, peer, protocol, body, { ...extra, clock, life: life.signal })
    },
    serve(protocol, handler) {
      serving.set(protocol, handler)
      if (running !== undefined) serveStreams(running.node, protocol, serving, clock)
    },
    async connect(text, { signal, onRetry } = {}) {
      const { node, life } = alive()
      const address = parseAddress(text)
      if (address.peer === self) throw new MurmurError('bad-join-line', `${text} is this peer's own address; name another peer's.`)
      const ended = AbortSignal.any([life.signal, ...(signal ? [signal] : [])])
      return keepConnected(linkTo(node, address), { clock, random, signal: ended, ...(onRetry && { onRetry }) })
    },
    admit(gate) {
      serving.admit(gate)
    },
    learn() {},
    blame() {},
    async processes(peer) {
      return running !== undefined && connected(running.node).includes(peer) ? 1 : 0
    },
    traffic: () => ({ ...meter }),
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

const dialOptions = (signal: AbortSignal) => ({ signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_MILLIS)]) })

/** The link to an address; where that does not say whose it is, the handshake does. */
function linkTo(node: Node, address: Address): Link {
  let peer = address.peer
  const isUp = (id: PeerId) => node.getConnections(peerIdFromString(id)).length > 0
  return {
    async dial(signal) {
      if (peer !== undefined && isUp(peer)) return peer
      try {
        const connection = await node.dial(address.multiaddr, dialOptions(signal))
        peer = connection.remotePeer.toString()
        return peer
      } catch (error) {
        if (error instanceof Error && /dial self/i.test(error.message)) {
          throw new MurmurError('bad-join-line', `${address.multiaddr} is this peer's own address; name another peer's.`, { cause: error })
        }
        throw error
      }
    },
    lost: (id, signal) =>
      new Promise<void>((resolve) => {
        const look = (event?: CustomEvent<Libp2pPeerId> | Event) => {
          if (!signal.aborted && (isUp(id) || (event instanceof CustomEvent && event.detail.toString() !== id))) return
          node.removeEventListener('peer:disconnect', look)
          signal.removeEventListener('abort', look)
          resolve()
        }
        node.addEventListener('peer:disconnect', look)
        signal.addEventListener('abort', look, { once: true })
        look()
      }),
  }
}

function checkAddresses(listen: readonly string[], announce: readonly string[]): void {
  const tcp = /^\/(ip4|ip6)\/[^/]+\/tcp\/\d+$/
  for (const text of listen) {
    if (tcp.test(text) && isMultiaddr(text)) continue
    throw new MurmurError('bad-argument', `"${text}" is not an address to listen on; one has the form /ip4/0.0.0.0/tcp/4001.`)
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
