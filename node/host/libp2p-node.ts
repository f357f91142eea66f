// How libp2p is set up. Each value here replaces a default that breaks a network of peers that train, most of them without a word.
import { noise } from '@chainsafe/libp2p-noise'
import type { ComponentLogger, ConnectionGater, Ed25519PrivateKey, PeerId } from '@libp2p/interface'
import { ping } from '@libp2p/ping'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { MurmurError } from '../../protocol/errors.ts'
import { counting, countingTcp, type Meter } from './counting-tcp.ts'
import { discreetIdentify } from './discreet-identify.ts'
import { gossipService, type Topics } from './gossip.ts'
import type { Allowed } from './members-only.ts'
import { quietYamux } from './quiet-yamux.ts'
import type { Reach } from './reach.ts'
import type { StreamMeter } from './stream-meter.ts'
import { isWebSocket, webSocketTransport } from './web-sockets.ts'
import { oneLine } from './why.ts'

const MAX_CONNECTIONS = 256
/** A second, by one host: a whole network behind one address may come back at once. libp2p's 5 fails most dials of 12 local peers. */
const INBOUND_A_SECOND = 100
const INBOUND_PENDING = 64
/** A busy link or a blocked event loop answers pings late; libp2p's 5 s cut a transfer of 40 MB over 1 MB/s. */
const PING_TIMEOUT_MILLIS = 60_000
/** Between two pings on a connection: each opens a stream, and dozens of them every ten seconds are most of what an idle member does. */
const PING_INTERVAL_MILLIS = 30_000
/** Pings under way on a connection. With libp2p's one it is cut when a peer that stood still for longer than the interval answers two at once. */
const PINGS = 2 + PING_TIMEOUT_MILLIS / PING_INTERVAL_MILLIS

export interface NodeParts {
  privateKey: Ed25519PrivateKey
  listen: readonly string[]
  announce: readonly string[]
  datastore?: Libp2pOptions['datastore']
  logger?: ComponentLogger
  meter: Meter
  /** Counts by protocol. */
  streams?: StreamMeter
  topics: Topics
  /** Who is turned away. */
  gater?: ConnectionGater
  /** Who is told nothing that it need not know. */
  isStranger?: Allowed
  /** What it needs to be reached from afar. */
  reach?: Reach | undefined
  /** Tests: milliseconds between two pings on a connection. */
  pingMillis?: number
}

export type Node = Awaited<ReturnType<typeof createNode>>

/** Connected peers by name: libp2p's own list works out every name anew, and is asked for several times a second. */
export const connectedPeers = (node: Node): Map<string, PeerId> =>
  new Map(node.getConnections().map(({ remotePeer }) => [remotePeer.toString(), remotePeer]))

/** Not started. */
export async function createNode(parts: NodeParts) {
  const {
    privateKey,
    listen,
    announce,
    datastore,
    logger,
    meter,
    streams,
    topics,
    gater,
    isStranger = () => false,
    reach,
    pingMillis = PING_INTERVAL_MILLIS,
  } = parts
  const webSockets = await webSocketTransport(listen.some((address) => isWebSocket(multiaddr(address))))
  return await createLibp2p({
    start: false,
    privateKey,
    // Of what version this peer and its Node are is nobody's business.
    nodeInfo: { userAgent: 'murmuration' },
    addresses: { listen: [...listen], appendAnnounce: [...announce] },
    transports: [countingTcp(meter), counting(webSockets, meter), ...(reach?.transports ?? [])],
    connectionEncrypters: [noise()],
    streamMuxers: [quietYamux(streams?.watch)],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: INBOUND_A_SECOND,
      maxIncomingPendingConnections: INBOUND_PENDING,
      // The monitor takes a ping whose stream the other side was too busy to greet for a dead connection.
      inboundStreamProtocolNegotiationTimeout: PING_TIMEOUT_MILLIS,
    },
    connectionMonitor: { pingInterval: pingMillis, pingTimeout: { minTimeout: PING_TIMEOUT_MILLIS } },
    ...(gater && { connectionGater: gater }),
    ...(datastore && { datastore }),
    ...(logger && { logger }),
    services: {
      ...reach?.services,
      identify: discreetIdentify(isStranger),
      ping: ping({ timeout: PING_TIMEOUT_MILLIS, maxInboundStreams: PINGS, maxOutboundStreams: PINGS }),
      gossip: gossipService(topics),
    },
  })
}

/** Starts to listen. @throws port-in-use, bad-argument */
export async function startNode(node: Node, listen: readonly string[]): Promise<void> {
  try {
    await node.start()
  } catch (cause) {
    await Promise.resolve(node.stop()).catch(() => {})
    const text = String((cause as Error).message)
    if (/EADDRINUSE/.test(text)) {
      throw new MurmurError(
        'port-in-use',
        `${listen.join(' or ')} cannot be listened on: another program uses the port. Stop it, or choose another with --listen /ip4/0.0.0.0/tcp/0.`,
        { cause },
      )
    }
    const code = /\b(EADDRNOTAVAIL|EACCES|ENOTFOUND|EINVAL)\b/.exec(text)?.[1]
    throw new MurmurError(
      'bad-argument',
      `${listen.join(' or ')} cannot be listened on (${code ?? oneLine(text, 120)}); give an address of this machine, such as /ip4/0.0.0.0/tcp/0.`,
      { cause },
    )
  }
}
