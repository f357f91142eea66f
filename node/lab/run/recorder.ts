// What came of each round: honest models as they ended it, evaluated on the common test data beside the rounds that go on.
import type { PeerId } from '../../../protocol/identity.ts'
import { createPrng } from '../../../protocol/prng.ts'
import { hexOf } from '../../../protocol/task.ts'
import type { PeerEvent } from '../../events.ts'
import type { Evaluation } from '../../ports.ts'
import { sha256 } from '../../sha256.ts'
import { distance, meanOf } from '../attacks/vectors.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import type { Accuracies, LabHooks, LabResult, RoundRecord } from './types.ts'
import type { VirtualPeer } from './virtual-peer.ts'
import type { Workshop } from './workshop.ts'

/** Honest models that are evaluated after a round; of more, always the same ones, drawn once. */
export const EVALUATED = 32

type Aggregated = Extract<PeerEvent, { type: 'aggregated' }>

interface Ended {
  model: Float32Array
  inputs: number
  attackersWeight: number
}

export interface Recorder {
  readonly rounds: readonly RoundRecord[]
  /** An honest peer has aggregated. */
  aggregated(peer: VirtualPeer, event: Aggregated): void
  /** No honest peer takes part in rounds before this one any more; true where that ends one. */
  advance(round: number): boolean
  /** Waits for the rounds ended so far, and evaluates the models as they are now. */
  finish(): Promise<Final>
}

export type Final = Omit<LabResult['final'], 'seconds' | 'peakBytes'>

export interface RecorderParts {
  honest: readonly VirtualPeer[]
  attackers: ReadonlySet<PeerId>
  seed: number
  /** Whether there is something that measures a backdoor's success. */
  hasSuccess: boolean
  clock: VirtualClock
  workshop: Workshop
  hooks: LabHooks
  onFailure(error: unknown): void
}

export function createRecorder({ honest, attackers, seed, hasSuccess, clock, workshop, hooks, onFailure }: RecorderParts): Recorder {
  const rounds: RoundRecord[] = []
  const ended = new Map<number, Map<number, Ended>>()
  const drawn = createPrng(`${seed} lab evaluated`)
    .shuffle([...honest.keys()])
    .slice(0, EVALUATED)
  let next = 1
  let recording: Promise<void> = Promise.resolve()
  let last = { virtual: clock.now(), real: performance.now(), received: 0 }

  /** Peers that pull from all come to the same model: it is looked at once. */
  async function evaluateAll(models: readonly Float32Array[], split: 'test' | 'validation'): Promise<Evaluation[]> {
    const known = new Map<string, Promise<Evaluation>>()
    const results = models.map((params) => {
      const key = hexOf(sha256(new Uint8Array(params.buffer, params.byteOffset, params.byteLength)))
      const result = known.get(key) ?? workshop.trainer.evaluate({ params, split, ...(hooks.signal && { signal: hooks.signal }) })
      known.set(key, result)
      return result
    })
    return await Promise.all(results)
  }

  async function measure(models: readonly Float32Array[]) {
    const results = await evaluateAll(models, 'test')
    const successes = hasSuccess ? await evaluateAll(models, 'validation') : []
    const losses = results.map(({ loss }) => loss)
    return {
      accuracy: accuracies(results.map(({ accuracy = Number.NaN }) => accuracy)),
      loss: { mean: mean(losses), worst: Math.max(...losses) },
      ...(hasSuccess && { success: mean(successes.map(({ accuracy = 0 }) => accuracy)) }),
    }
  }

  /** Of the drawn peers, or of any where none of those is there. */
  function chosen<T>(of: ReadonlyMap<number, T>): T[] {
    const those = drawn.flatMap((peer) => of.get(peer) ?? [])
    return those.length > 0 ? those : [...of.values()].slice(0, EVALUATED)
  }

  function close(round: number): void {
    const took = ended.get(round) ?? new Map<number, Ended>()
    ended.delete(round)
    const all = [...took.values()]
    const received = honest.reduce((sum, peer) => sum + peer.received(), 0) / honest.length
    const now = { virtual: clock.now(), real: performance.now(), received }
    const counted = {
      inputs: mean(all.map(({ inputs }) => inputs)),
      aggregated: all.length,
      attackersWeight: mean(all.map(({ attackersWeight }) => attackersWeight)),
      bytesReceived: Math.round(now.received - last.received),
      virtualMillis: Math.round(now.virtual - last.virtual),
      realMillis: Math.round(now.real - last.real),
    }
    last = now
    const models = all.length > 0 ? all.map(({ model }) => model) : honest.map((peer) => peer.model())
    const evaluated = all.length > 0 ? chosen(took).map(({ model }) => model) : models.slice(0, EVALUATED)
    const before = recording
    // No more than one round's models wait to be looked at.
    void clock.hold(before)
    recording = before.then(async () => {
      const measured = await measure(evaluated)
      const record: RoundRecord = { round, ...measured, disagreement: disagreement(models), ...counted }
      rounds.push(record)
      hooks.onRound?.(record)
    })
    recording.catch(onFailure)
  }

  return {
    rounds,
    aggregated(peer, { round, inputs }) {
      const total = inputs.reduce((sum, { weight }) => sum + weight, 0)
      const theirs = inputs.reduce((sum, { author, weight }) => sum + (attackers.has(author) ? weight : 0), 0)
      const of = ended.get(round) ?? new Map<number, Ended>()
      of.set(peer.index, { model: peer.model(), inputs: inputs.length, attackersWeight: total > 0 ? theirs / total : 0 })
      ended.set(round, of)
    },
    advance(round) {
      const isNews = next < round
      while (next < round) close(next++)
      return isNews
    },
    async finish() {
      await recording
      const models = new Map(honest.map((peer, i) => [i, peer.model()]))
      const measured = await measure(chosen(models))
      const { accuracy: meanModelAccuracy = Number.NaN } = await workshop.trainer.evaluate({
        params: Float32Array.from(meanOf([...models.values()])),
        split: 'test',
      })
      return { ...measured, meanModelAccuracy }
    },
  }
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length

function accuracies(values: readonly number[]): Accuracies {
  const center = mean(values)
  const spread = Math.sqrt(mean(values.map((value) => (value - center) ** 2)))
  return { mean: center, worst: Math.min(...values), best: Math.max(...values), spread }
}

/** Mean distance from the mean, relative to its length. */
function disagreement(models: readonly Float32Array[]): number {
  const center = meanOf(models)
  const length = Math.sqrt(center.reduce((sum, x) => sum + x ** 2, 0))
  return length === 0 ? 0 : mean(models.map((model) => distance(model, center))) / length
}
