// Whole peers in one process: the product's own loop, rules and records over the in-memory bus. Only what they learn is simple:
// each pulls the model towards a point of its own, as local training on unlike data does.

import type { PeerEvent } from '../../node/events.ts'
import { createPayloadExchange } from '../../node/host/payload-exchange.ts'
import { createBus } from '../../node/lab/bus.ts'
import type { VirtualClock } from '../../node/lab/virtual-clock.ts'
import { createAggregator } from '../../node/peer/aggregator.ts'
import { systemClock } from '../../node/peer/clock.ts'
import { createMemberBook } from '../../node/peer/member-book.ts'
import type { PeerParts } from '../../node/peer/parts.ts'
import { createPeer, type Peer } from '../../node/peer/peer.ts'
import type { Aggregator, Clock, EvaluateRequest, Network, Store, Trainer, TrainRequest } from '../../node/ports.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { MurmurError } from '../../protocol/errors.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { createPrng } from '../../protocol/prng.ts'
import type { Task } from '../../protocol/task.ts'
import { sha256, signerOf, verifier } from './keys.ts'
import { taskOf } from './task.ts'

/** Pulls every parameter half way to `goal`. */
export function towards(goal: number, size: number): Trainer {
  return {
    size,
    trainSamples: 1,
    validationSamples: 1,
    async train({ params, optimizer, steps, signal }: TrainRequest) {
      if (signal?.aborted) throw new MurmurError('cancelled', 'The training was stopped.')
      const next = params.map((value) => value + (goal - value) / 2)
      return { params: next, optimizer, steps, samples: steps, loss: Math.abs(goal - next[0]!), losses: new Float32Array(steps), millis: 1 }
    },
    async evaluate({ params }: EvaluateRequest) {
      const distance = Math.abs(goal - params[0]!)
      return { samples: 1, loss: distance, accuracy: 1 / (1 + distance) }
    },
    async stop() {},
  }
}

/** Trains as `towards` does, after `millis` of the clock's time. */
export function slowly({ clock }: { clock: VirtualClock }, goal: number, millis: number): Trainer {
  const trainer = towards(goal, 4)
  return {
    ...trainer,
    async train(request: TrainRequest) {
      await new Promise<void>((done) => void clock.after(millis, done))
      return trainer.train(request)
    },
  }
}

export interface BusPeer {
  name: string
  peer: Peer
  network: Network
  store: Store
  events: PeerEvent[]
  /** The first event, past or future, that fits. */
  event<T extends PeerEvent['type']>(
    type: T,
    fits?: (event: Extract<PeerEvent, { type: T }>) => boolean,
  ): Promise<Extract<PeerEvent, { type: T }>>
  stop(): Promise<void>
}

export interface BusNetwork {
  bus: ReturnType<typeof createBus>
  task: Task
  /** `corrupt` turns the parts of an honest peer into those of one that misbehaves. */
  add(name: string, change?: Partial<PeerParts>, corrupt?: (parts: PeerParts) => PeerParts): Promise<BusPeer>
}

/** One worker thread for all peers, while there are any: a thread each takes longer to start than most tests. */
function sharedAggregator(clock: VirtualClock | undefined) {
  let shared: Aggregator | undefined
  let users = 0
  const held = <T>(work: Promise<T>): Promise<T> => (clock === undefined ? work : clock.hold(work))
  const aggregator = (): Aggregator => {
    shared ??= createAggregator()
    return shared
  }
  return {
    take(): Aggregator {
      users++
      return {
        check: (payload, request) => held(aggregator().check(payload, request)),
        aggregate: (request) => held(aggregator().aggregate(request)),
        async stop() {
          if (--users > 0) return
          await shared?.stop()
          shared = undefined
        },
      }
    },
  }
}

/** Stops peers whose time passes only when told to. */
export async function stopAll({ clock }: { clock: VirtualClock }, peers: readonly BusPeer[]): Promise<void> {
  const stopping = Promise.all(peers.map((peer) => peer.stop()))
  await clock.advance(60_000)
  await stopping
}

/** A bus and a task of `size` parameters (four by default); in virtual time where a clock is given. */
export function busNetwork(change: Partial<Manifest> = {}, size = 4, virtual?: VirtualClock): BusNetwork {
  const clock: Clock = virtual ?? systemClock
  const bus = createBus({ clock })
  const aggregators = sharedAggregator(virtual)
  const task = taskOf({
    weights: { hash: '00'.repeat(32), length: size * 4, codec: 'float32' },
    layout: [{ name: 'w', shape: [size], segment: 'shared' }],
    ...change,
  })
  return {
    bus,
    task,
    async add(name, parts = {}, corrupt = (honest) => honest) {
      const signer = signerOf(name)
      const network = bus.network(signer.peerId)
      await network.start()
      const store = parts.store ?? memoryStore()
      const prng = createPrng(name)
      const aggregator = aggregators.take()
      const honest: PeerParts = {
        task,
        initial: new Float32Array(size),
        network,
        members: await createMemberBook({ task, store, verify: verifier, clock }),
        exchange: createPayloadExchange({ network, store, task: task.id, hash: sha256, clock }),
        trainer: towards(name.charCodeAt(0) - 'a'.charCodeAt(0), size),
        aggregator,
        store,
        clock,
        random: { bytes: (count) => Uint8Array.from({ length: count }, () => prng.int(256)) },
        signer,
        verify: verifier,
        hash: sha256,
        ...parts,
      }
      const peer = createPeer(corrupt(honest))
      const events: PeerEvent[] = []
      const looking = new Set<() => void>()
      peer.subscribe((event) => {
        events.push(event)
        for (const look of [...looking]) look()
      })
      await peer.start()
      return {
        name,
        peer,
        network,
        store,
        events,
        event: (type, fits = () => true) =>
          new Promise((done, failed) => {
            const timer = setTimeout(
              () => failed(new Error(`${name}: no ${type} event in time; last: ${JSON.stringify(events.slice(-5))}`)),
              20_000,
            )
            const look = () => {
              const found = events.find(
                (event): event is Extract<PeerEvent, { type: typeof type }> => event.type === type && fits(event as never),
              )
              if (found === undefined) return
              clearTimeout(timer)
              looking.delete(look)
              done(found)
            }
            looking.add(look)
            look()
          }),
        async stop() {
          await peer.stop()
          await aggregator.stop()
          await network.stop()
        },
      }
    },
  }
}
