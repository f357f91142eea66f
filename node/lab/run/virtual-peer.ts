// One virtual peer: the product's own peer, with its ports in memory, in virtual time, and on threads that all share.

import { codecOf } from '../../../protocol/codec/index.ts'
import type { Verify } from '../../../protocol/envelope.ts'
import { isMurmurError } from '../../../protocol/errors.ts'
import type { PeerId } from '../../../protocol/identity.ts'
import type { RoundConfig } from '../../../protocol/round/state.ts'
import type { PeerEvent } from '../../events.ts'
import { createPayloadExchange } from '../../host/payload-exchange.ts'
import { createMemberBook } from '../../peer/member-book.ts'
import type { PeerParts } from '../../peer/parts.ts'
import { createPeer, type Peer } from '../../peer/peer.ts'
import type { AggregateRequest, Aggregator, Encode, Network, Signer, Trainer } from '../../ports.ts'
import { sha256 as hash } from '../../sha256.ts'
import { encodePayload } from '../../train/encoding.ts'
import type { Bus } from '../bus.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import type { Collusion } from './collusion.ts'
import type { InVirtualTime } from './futures.ts'
import type { ReferenceRequest } from './reference-worker.ts'
import { seededRandom } from './seeded.ts'
import { type SharedObjects, sharingExchange, sharingStore } from './shared-objects.ts'
import type { Subject } from './subject.ts'
import type { Workshop } from './workshop.ts'

/** Virtual milliseconds that work takes: what is compared is what came of it. Training takes so long that the last round's payloads are let go. */
const TRAIN_MILLIS = 12_000
const ENCODE_MILLIS = 10
const AGGREGATE_MILLIS = 100
const EVALUATE_MILLIS = 10
/** Own samples that a virtual peer looks at after a round: they decide whether it takes over others' state, and measure nothing here. */
const OWN_SAMPLES = 100

/** What all virtual peers are made from. */
export interface World {
  seed: number
  clock: VirtualClock
  later: InVirtualTime
  bus: Bus
  subject: Subject
  workshop: Workshop
  objects: SharedObjects
  verify: Verify
  /** Nobody attacks without it. */
  collusion: Collusion | undefined
  /** What the lab sets of the rounds, beyond what the task says. */
  rounds: Partial<RoundConfig>
  /** Whether its rule looks at the losses of others' models on the own data. */
  asksLosses: boolean
  onEvent(peer: VirtualPeer, event: PeerEvent): void
  /** What no honest peer can be to blame for. */
  onFailure(error: unknown): void
}

export interface VirtualPeer {
  readonly index: number
  readonly id: PeerId
  /** Of the attackers the number among them. */
  readonly attacker: number | undefined
  readonly round: number
  /** running: its rounds go on; stopped: for now; finished: it has done all rounds; failed: for good, see `failure`. */
  readonly state: 'running' | 'stopped' | 'finished' | 'failed'
  readonly failure: Error | undefined
  /** The newest model. */
  model(): Float32Array
  /** Bytes over its links, so far. */
  received(): number
  /** What it waits for, in words. */
  waitingFor(): string | undefined
  start(): Promise<void>
  stop(): Promise<void>
}

export interface Place {
  index: number
  attacker: number | undefined
  signer: Signer
  neighbours: ReadonlySet<PeerId>
  /** Those of them that are there from the first round on. */
  expected: number
}

export function createVirtualPeer(world: World, { index, attacker, signer, neighbours, expected }: Place): VirtualPeer {
  const { seed, clock, later, bus, subject, workshop, objects, verify, collusion } = world
  const { task } = subject
  const { codec, limits } = task.manifest
  const store = sharingStore(objects)
  let state: VirtualPeer['state'] = 'stopped'
  let round = 0
  let failure: Error | undefined
  let starts = 0
  let receivedBefore = 0
  let running: { peer: Peer; network: Network } | undefined
  let model = subject.initial
  let stopping: Promise<void> = Promise.resolve()

  const self: VirtualPeer = {
    index,
    attacker,
    id: signer.peerId,
    get round() {
      return round
    },
    get state() {
      return state
    },
    get failure() {
      return failure
    },
    model: () => running?.peer.model() ?? model,
    received: () => receivedBefore + (running?.network.traffic().received ?? 0),
    waitingFor: () => running?.peer.status().waitingFor,
    async start() {
      await stopping
      const network = bus.network(signer.peerId)
      await network.start()
      const book = await createMemberBook({ task, store, verify, clock })
      const exchange = sharingExchange(createPayloadExchange({ network, store, task: task.id, hash, clock }), store)
      const parts: PeerParts = {
        ...{ task, initial: subject.initial, network, exchange, store, clock, signer, verify, hash },
        // Who is no neighbour is nobody.
        members: { ...book, isMember: (peer) => (peer === signer.peerId || neighbours.has(peer)) && book.isMember(peer) },
        random: seededRandom(`${seed} peer ${index} start ${starts++}`),
        rounds: { ...world.rounds, minPeers: expected + 1 },
        ...(attacker === undefined ? honestWork() : attackersWork(attacker)),
      }
      const peer = createPeer(parts)
      running = { peer, network }
      state = 'running'
      peer.subscribe((event) => {
        if (event.type === 'phase') {
          round = event.round
          if (event.phase === 'finished') state = 'finished'
        }
        world.onEvent(self, event)
      })
      peer.finished.catch((error: Error) => {
        state = 'failed'
        failure = error
        // A model beyond all bounds is what an attack, or an attacker, has come to; anything else is no result.
        if (!isMurmurError(error, 'training-diverged')) world.onFailure(error)
      })
      await peer.start()
    },
    stop() {
      if (running === undefined) return stopping
      const { peer, network } = running
      model = peer.model()
      receivedBefore += network.traffic().received
      running = undefined
      if (state === 'running') state = 'stopped'
      stopping = (async () => {
        await peer.stop()
        await network.stop()
        model = peer.model()
      })()
      return stopping
    },
  }

  function honestWork(): Pick<PeerParts, 'trainer' | 'aggregator' | 'encode'> {
    const rows = subject.rows[index]!
    const trainer: Trainer = {
      ...workshop.trainer,
      trainSamples: rows.length,
      validationSamples: Math.min(OWN_SAMPLES, rows.length),
      train(request) {
        collusion?.began(round, index, request.params)
        const work = workshop.trainer.train({ ...request, order: { ...request.order, rows } })
        return later(TRAIN_MILLIS, work, request.signal)
      },
      evaluate({ params, signal }) {
        const request = { params, split: 'train', rows, samples: OWN_SAMPLES } as const
        return later(EVALUATE_MILLIS, workshop.trainer.evaluate({ ...request, ...(signal && { signal }) }), signal)
      },
      async stop() {},
    }
    const aggregator: Aggregator = {
      check: (payload, request) => later(0, workshop.aggregator.check(payload, request)),
      aggregate(request) {
        const seeded = { ...request, inputs: handedOver(request), seed: `${seed} ${index} ${round}` }
        return later(AGGREGATE_MILLIS, withLosses(seeded).then(workshop.aggregator.aggregate))
      },
      async stop() {},
    }
    const encode: Encode = async (vector) => {
      const encoded = await later(
        ENCODE_MILLIS,
        workshop.trainer.encode(vector.subarray(0, task.exchanged), { codec, maxAbs: limits.maxAbs }),
      )
      if ('values' in encoded.decoded) collusion?.announced(round, index, encoded.decoded.values)
      return encoded
    }
    return { trainer, aggregator, encode }
  }

  /** Losses of the own model and of the others on the own data, in their order. */
  async function withLosses(request: AggregateRequest): Promise<ReferenceRequest> {
    if (!world.asksLosses) return request
    const rows = subject.rows[index]!
    const others = request.inputs.map(({ payload }) => codecOf(codec).decode(payload as Uint8Array, request.length, request.maxAbs))
    const models = [...(request.own ? [request.own] : []), ...others.flatMap((one) => ('values' in one ? [one.values] : []))]
    const ask = (params: Float32Array) => workshop.trainer.evaluate({ params, split: 'train', rows, samples: OWN_SAMPLES })
    return { ...request, losses: (await Promise.all(models.map(ask))).map(({ loss }) => loss) }
  }

  /** Where attackers tell each receiver something else, what they tell this one: no two announcements could say it. */
  function handedOver({ inputs, own }: AggregateRequest): AggregateRequest['inputs'] {
    const forged =
      own === undefined
        ? undefined
        : collusion?.handedTo(
            round,
            index,
            inputs.map(({ author }) => author),
          )
    if (forged === undefined) return inputs
    return inputs.map((input) => {
      const vector = forged.get(input.author)
      return vector === undefined
        ? input
        : { author: input.author, payload: encodePayload(vector, { codec, maxAbs: limits.maxAbs }).payload }
    })
  }

  /** An attacker takes part in the protocol, and neither trains nor aggregates there: the collusion does what is to be done. */
  function attackersWork(number: number): Pick<PeerParts, 'trainer' | 'aggregator' | 'encode' | 'forge'> {
    const trainer: Trainer = {
      ...workshop.trainer,
      train: ({ params, optimizer, steps, signal }) =>
        later(
          TRAIN_MILLIS,
          Promise.resolve({ params, optimizer, steps, samples: 0, loss: 0, losses: new Float32Array(steps), millis: 0 }),
          signal,
        ),
      evaluate: async () => ({ samples: 0, loss: 0 }),
      async stop() {},
    }
    const aggregator: Aggregator = {
      check: async () => undefined,
      aggregate: ({ own, length, inputs }) => {
        const audit = { weight: 1 / Math.max(1, inputs.length), distance: 0, kept: true, why: 'known' }
        const outcome = { output: own ?? new Float32Array(length), inputs: inputs.map(({ author }) => ({ author, audit })), millis: 0 }
        return later(AGGREGATE_MILLIS, Promise.resolve(outcome))
      },
      async stop() {},
    }
    return {
      ...{ trainer, aggregator },
      // What is announced is made where it is encoded; this only says that anything may be.
      forge: ({ trained }) => trained,
      encode: async () => encodePayload(await collusion!.announcedBy(round, number), { codec, maxAbs: limits.maxAbs }),
    }
  }

  return self
}
