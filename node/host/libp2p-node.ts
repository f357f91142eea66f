// How libp2p is set up. Each value here replaces a default that breaks a network of peers that train, most of them without a word.
import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import { noise } from '@chainsafe/libp2p-noise'
import { identify } from '@libp2p/identify'
import type { ComponentLogger, Ed25519PrivateKey } from '@libp2p/interface'
import { ping } from '@libp2p/ping'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { MurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { countingTcp, type Meter } from './counting-tcp.ts'
import type { GossipRules } from './gossip.ts'
import { oneLine } from './why.ts'

const MAX_CONNECTIONS = 256
/** A second, by one host: a whole network behind one address may come back at once. libp2p's 5 fails most dials of 12 local peers. */
const INBOUND_A_SECOND = 100
const INBOUND_PENDING = 64
/** A busy link or a blocked event loop answers pings late; libp2p's 5 s cut a transfer of 40 MB over 1 MB/s. */
const PING_TIMEOUT_MILLIS = 60_000
/**
 * Bytes of a gossip frame: messages that were asked for together come in one. Above what the receiver takes it ends gossip with the
 * sender, so this equals the most that gossipsub sends.
 */
export const GOSSIP_FRAME_BYTES = 256 * LIMITS.gossipBytes
/** Bytes of topic names kept for one peer: ours is one of 80 bytes, and gossipsub counts 1 KiB for each. */
const TOPIC_BYTES = 32 * 1024

export interface NodeParts {
  privateKey: Ed25519PrivateKey
  listen: readonly string[]
  announce: readonly string[]
  datastore?: Libp2pOptions['datastore']
  logger?: ComponentLogger
  meter: Meter
  rules: GossipRules
}

export type Node = Awaited<ReturnType<typeof createNode>>

/** Not started. */
export async function createNode({ privateKey, listen, announce, datastore, logger, meter, rules }: NodeParts) {
  return await createLibp2p({
    start: false,
    privateKey,
    addresses: { listen: [...listen], appendAnnounce: [...announce] },
    transports: [countingTcp(meter)],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: INBOUND_A_SECOND,
      maxIncomingPendingConnections: INBOUND_PENDING,
    },
    connectionMonitor: { pingTimeout: { minTimeout: PING_TIMEOUT_MILLIS } },
    ...(datastore && { datastore }),
    ...(logger && { logger }),
    services: {
      identify: identify(),
      ping: ping(),
      gossip: gossipsub({
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
        // Networks behind one address are the rule here (a lab, an office, containers): with libp2p's penalty, 16 peers on one
        // IP graylist each other and nothing arrives.
        scoreParams: { IPColocationFactorWeight: 0 },
      }),
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
