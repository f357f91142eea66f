// Which process is it? Each has a random id of its own, told on every connection, so that two with one identity are noticed before they contradict
// each other.
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { byteStream } from '@libp2p/utils'
import type { PeerId } from '../../protocol/identity.ts'
import type { Clock } from '../ports.ts'
import { deadline } from './deadline.ts'
import type { Node } from './libp2p-node.ts'
import { asError } from './why.ts'

export const SESSION_PROTOCOL = '/murmuration/session/1'
export const SESSION_BYTES = 16
/** Milliseconds for an answer: a process that is suspended, or whose machine lost its power, gives none. */
const ANSWER_MILLIS = 3000
/** Connections of one peer that are asked at a time. */
const CONNECTIONS = 8

/** Answers those that `allowed` lets in. */
export function serveSession(node: Node, id: Uint8Array, allowed: (peer: PeerId) => boolean): void {
  async function onStream(stream: Stream, connection: Connection): Promise<void> {
    if (!allowed(connection.remotePeer.toString())) return stream.abort(new Error('only members are answered'))
    try {
      stream.send(id)
      await stream.close({ signal: AbortSignal.timeout(ANSWER_MILLIS) })
    } catch (error) {
      stream.abort(asError(error))
    }
  }
  node
    .handle(SESSION_PROTOCOL, onStream, { maxInboundStreams: 2, maxOutboundStreams: 2, force: true })
    // What can fail is only noting the protocol in the peer store while the node stops.
    .catch(() => {})
}

/** How many different processes answer on the open connections of a peer. */
export async function countProcesses(node: Node, peer: PeerId, clock: Clock): Promise<number> {
  const connections = node.getConnections(peerIdFromString(peer)).filter(({ status }) => status === 'open')
  const answers = await Promise.all(connections.slice(0, CONNECTIONS).map((connection) => askSession(connection, clock)))
  return new Set(answers.filter((answer) => answer !== undefined)).size
}

async function askSession(connection: Connection, clock: Clock): Promise<string | undefined> {
  const limit = deadline(clock, ANSWER_MILLIS)
  const { signal } = limit
  let stream: Stream | undefined
  try {
    stream = await connection.newStream(SESSION_PROTOCOL, { signal })
    const id = (await byteStream(stream).read({ bytes: SESSION_BYTES, signal })).subarray()
    await stream.close({ signal })
    return Buffer.from(id).toString('hex')
  } catch (error) {
    stream?.abort(asError(error))
    return undefined
  } finally {
    limit.clear()
  }
}
