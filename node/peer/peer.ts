// A running peer: wires the pure round machine to the network, the trainer, the aggregator and the store behind their ports.
import type { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { initialState } from '../../protocol/round/reducer.ts'
import { waitingFor } from '../../protocol/round/view.ts'
import { topicOf } from '../../protocol/task.ts'
import { gossipId } from '../../protocol/update.ts'
import type { PeerEvent, Phase } from '../events.ts'
import { createInbox } from './inbox.ts'
import { createLoop } from './loop.ts'
import type { PeerParts } from './parts.ts'

/** How often what is waited for, traffic and health are told: nothing waits in silence for longer than twice this. */
const HEARTBEAT_MILLIS = 2000

export interface PeerStatus {
  peer: PeerId
  task: string
  name: string
  round: number
  phase: Phase
  waitingFor?: string
  untilSeconds?: number
  addresses: string[]
  members: { peer: PeerId; present: boolean; round: number; shutOut: boolean }[]
  accuracy?: number
  loss?: number
  traffic: { received: number; sent: number }
}

export interface Peer {
  /** Joins the topic and begins, or goes on where a former process of this peer stood. */
  start(): Promise<void>
  /** Stops cooperatively: the run in hand ends, nothing is cut. */
  stop(): Promise<void>
  status(): PeerStatus
  /** Every event from now on; returns a function that ends it. */
  subscribe(listener: (event: PeerEvent) => void): () => void
  /** The newest model: the whole flat vector. */
  model(): Float32Array
  /** Settles when the peer has finished its rounds (reason), or fails for good. */
  readonly finished: Promise<string>
}

export function createPeer(parts: PeerParts): Peer {
  const { network, clock, store, task } = parts
  const listeners = new Set<(event: PeerEvent) => void>()
  const { promise: finished, resolve: onFinished, reject: onFailed } = Promise.withResolvers<string>()
  finished.catch(() => {})
  const evidence = new Map<PeerId, { first: Uint8Array; second: Uint8Array }>()
  let cancelHeartbeat = () => {}
  let stopped = false
  let phase: Phase = 'starting'

  function emit(event: PeerEvent): void {
    store.append(event, clock.wall())
    for (const listener of listeners) listener(event)
  }

  const loop = createLoop(parts, initialState(), {
    emit,
    tellPhase,
    onFinished,
    onFailed: (error: MurmurError) => onFailed(error),
    evidence,
  })
  const inbox = createInbox(parts, loop, emit, evidence)

  /** Says what the peer does now and what it waits for. */
  function tellPhase(): void {
    const state = loop.state()
    phase = stopped ? 'stopped' : state.phase
    const waiting = waitingFor(state, loop.config, clock.now())
    emit({
      type: 'phase',
      round: state.round,
      phase,
      ...(waiting && { waitingFor: waiting.what }),
      ...(waiting?.untilMillis !== undefined && { untilSeconds: Math.ceil(waiting.untilMillis / 1000) }),
    })
  }

  function heartbeat(): void {
    if (stopped) return
    tellPhase()
    emit({ type: 'traffic', ...network.traffic() })
    const health = parts.health?.()
    if (health !== undefined) emit({ type: 'health', ...health })
    cancelHeartbeat = clock.after(HEARTBEAT_MILLIS, heartbeat)
  }

  return {
    finished,
    async start() {
      await loop.restore()
      inbox.serve()
      inbox.recall()
      await network.subscribe(topicOf(task), {
        validate: inbox.validate,
        messageId: (message) => gossipId(message, parts.hash),
        onPeer: inbox.onPeer,
        onPeerGone: inbox.onPeerGone,
      })
      loop.begin()
      inbox.startExchange()
      heartbeat()
    },
    async stop() {
      if (stopped) return
      stopped = true
      cancelHeartbeat()
      inbox.stop()
      await loop.stop()
      emit({ type: 'traffic', ...network.traffic() })
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    model: () => loop.model(),
    status() {
      const state = loop.state()
      const waiting = waitingFor(state, loop.config, clock.now())
      return {
        peer: network.self,
        task: task.hex,
        name: task.manifest.name,
        round: state.round,
        phase,
        ...(waiting && { waitingFor: waiting.what }),
        ...(waiting?.untilMillis !== undefined && { untilSeconds: Math.ceil(waiting.untilMillis / 1000) }),
        addresses: network.addresses(),
        members: [...state.members].map(([peer, member]) => ({
          peer,
          present: member.present,
          round: Math.max(member.latest?.round ?? 0, member.future?.round ?? 0),
          shutOut: state.shutOut.has(peer),
        })),
        ...loop.metrics(),
        traffic: network.traffic(),
      }
    },
  }
}
