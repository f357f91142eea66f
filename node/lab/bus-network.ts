// The network port of one peer on the bus.
import { concat } from 'uint8arrays/concat'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { deadline } from '../host/deadline.ts'
import { keepConnected } from '../host/redial.ts'
import { createReputation } from '../host/reputation.ts'
import { cancelledRequest, checkMessage, checkRequest, createServing, readReply, unreachable } from '../host/serving.ts'
import type { Clock, Gate, Network } from '../ports.ts'
import type { BusNode, Links, Transit } from './bus-links.ts'
import type { Neighbours } from './bus-neighbours.ts'

export interface BusParts {
  clock: Clock
  random: () => number
  links: Links
  neighbours: Neighbours
  flood(from: BusNode, topic: string, message: Uint8Array): number
  /** A reply put together in memory that the next one uses again: whoever takes it has read it before anything else arrives. */
  lend(parts: readonly Uint8Array[]): Uint8Array
}

const addressOf = (peer: PeerId): string => `/memory/${peer}/p2p/${peer}`

export function busNetwork(self: PeerId, { clock, random, links, neighbours, flood, lend: lendReply }: BusParts): Network {
  const { nodes, around, linked, cross } = links
  const serving = createServing(clock)
  const reputation = createReputation(clock)
  let gate: Gate | undefined
  let node: BusNode | undefined
  let life = new AbortController()
  const traffic = { received: 0, sent: 0 }

  function running(): BusNode {
    if (node === undefined) throw new MurmurError('cancelled', 'The network is stopped.')
    return node
  }

  /** Who was let in and is no member any more loses its link. A stranger keeps it: it may yet be let in. */
  function ask({ admitted, expelled }: BusNode): void {
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
    peers: () => (node === undefined ? [] : neighbours.of(node)),
    connections: () => [...around(self)].map(({ id }) => id).filter((other) => linked(self, other)),
    async subscribe(topic, handlers) {
      running().subscriptions.set(topic, handlers)
      neighbours.update(self)
    },
    async publish(topic, message) {
      const from = running()
      checkMessage(message, topic)
      return flood(from, topic, message)
    },
    async request(peer, protocol, body, { signal, timeout = LIMITS.requestMillis, lend = false } = {}) {
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
        cross({ from: self, to: peer, kind: 'request', length: body.length, bytes: body }, async (target) => {
          const { parts, done } = await target.serving.answerInParts(protocol, body, self, addressOf(self))
          const reply: Transit = {
            ...{ from: peer, to: self, kind: 'response' },
            length: parts.reduce((sum, part) => sum + part.length, 0),
            get bytes() {
              return concat([...parts])
            },
          }
          const take = () => {
            resolve(lend ? lendReply(parts) : reply.bytes)
            done()
          }
          cross(reply, take, done)
        })
        return readReply(await promise, peer)
      } finally {
        asking.delete(request)
        limit.clear()
      }
    },
    serve: serving.set,
    async connect(address, { signal, onRetry, isWanted = () => true } = {}) {
      const peer = peerOf(address)
      if (peer === self) throw new MurmurError('bad-join-line', `${address} is this peer's own address; name another peer's.`)
      const over = AbortSignal.any([life.signal, ...(signal ? [signal] : [])])
      const link = {
        async dial() {
          if (!linked(self, peer)) throw new Error(nodes.has(peer) ? 'cut off' : 'not running')
          return peer
        },
        lost: (_: PeerId, ended: AbortSignal) => neighbours.lost(self, peer, ended),
        isWanted: () => isWanted(peer),
      }
      return keepConnected(link, { clock, random, signal: over, ...(onRetry && { onRetry }) })
    },
    admit(next) {
      gate = next
      serving.admit(next)
      reputation.admit(next)
      if (node !== undefined) ask(node)
      neighbours.update(self)
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
      node = {
        ...{ id: self, serving, reputation, traffic, isGated: () => gate !== undefined },
        ...{ subscriptions: new Map(), known: new Set(), admitted: new Set(), expelled: new Set(), asking: new Set() },
      }
      nodes.set(self, node)
      neighbours.update(self)
    },
    async stop() {
      if (node === undefined) return
      const stopped = node
      node = undefined
      life.abort()
      nodes.delete(self)
      stopped.subscriptions.clear()
      neighbours.update(self)
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
