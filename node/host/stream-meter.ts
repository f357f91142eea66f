// Bytes by protocol: what each stream carries, counted under the name of what it is for.
import type { Stream } from '@libp2p/interface'
import { AbstractMessageStream } from '@libp2p/utils'
import type { Flow } from '../ports.ts'

/** Names by the protocol's first words: a closed set, for charts and labels. */
const NAMES: readonly (readonly [start: string, name: string])[] = [
  ['/murmuration/payload/', 'payload'],
  ['/murmuration/records/', 'records'],
  ['/murmuration/task/', 'task'],
  ['/murmuration/join/', 'join'],
  ['/murmuration/session/', 'session'],
  ['/meshsub/', 'gossip'],
  ['/floodsub/', 'gossip'],
  ['/ipfs/id/', 'identify'],
  ['/ipfs/ping/', 'ping'],
  ['/libp2p/circuit/', 'relay'],
  ['/libp2p/dcutr', 'hole-punching'],
  ['/libp2p/autonat/', 'reachability'],
]

export const PROTOCOL_NAMES: readonly string[] = [...new Set(NAMES.map(([, name]) => name)), 'negotiation', 'other']

/** Until the two sides have agreed on one, a stream has no protocol. */
const nameOf = (protocol: string | undefined): string =>
  protocol === undefined || protocol === '' ? 'negotiation' : (NAMES.find(([start]) => protocol.startsWith(start))?.[1] ?? 'other')

export interface StreamMeter {
  watch(stream: Stream): void
  /** Since the start; only what was used. */
  flows(): Record<string, Flow>
}

export function createStreamMeter(): StreamMeter {
  const flows = new Map<string, Flow>()

  function flowOf(stream: Stream): Flow {
    const name = nameOf(stream.protocol)
    const flow = flows.get(name) ?? { received: 0, sent: 0 }
    flows.set(name, flow)
    return flow
  }

  return {
    watch(stream) {
      if (!(stream instanceof AbstractMessageStream)) return
      // A listener for messages would have libp2p hand over what its reader is not there for yet.
      const onData = stream.onData.bind(stream)
      const send = stream.send.bind(stream)
      stream.onData = (data) => {
        flowOf(stream).received += data.byteLength
        onData(data)
      }
      stream.send = (data) => {
        flowOf(stream).sent += data.byteLength
        return send(data)
      }
    },
    flows: () => Object.fromEntries([...flows].map(([name, flow]) => [name, { ...flow }])),
  }
}
