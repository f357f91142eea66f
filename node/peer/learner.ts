// The own model: trained on this peer's data, aggregated with others' models or exchanged for theirs, evaluated and kept on disk.
import type { DecodeFailure } from '../../protocol/codec/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import type { Update } from '../../protocol/update.ts'
import type { PeerEvent } from '../events.ts'
import type { AggregateOutcome, Checkpoint, EncodedInput } from '../ports.ts'
import type { Announcer } from './announcer.ts'
import type { PeerParts } from './parts.ts'

/** Validation samples read after each round, at a regular stride: more would take longer than they tell. */
const VALIDATION_SAMPLES = 500

export interface Learner {
  /** The newest model: the whole flat vector. */
  model(): Float32Array
  /** Own validation accuracy, and training loss. */
  metrics(): { accuracy?: number; loss?: number }
  /** Goes on from what a former process stored. */
  restore(checkpoint: Checkpoint | undefined): void
  /** Puts `vector` in place of the exchanged part of the model; what is personal stays. */
  adopt(vector: Float32Array | undefined): void
  /** The local work of a round; false where it was aborted. */
  train(round: number, signal: AbortSignal): Promise<boolean>
  /**
   * Signs and stores the model as the update of `round`, with a checkpoint unless it is final; nothing where that round is signed already or
   * overtaken. A model that others would refuse is given up for the one that the last training began with. @throws training-diverged
   */
  announce(round: number, final?: boolean): Promise<void>
  /** Makes the aggregate of the own and others' models the new model. `held` are the payloads of `inputs`. */
  aggregate(round: number, f: number, inputs: readonly Update[], held: readonly EncodedInput[]): Promise<{ accuracy?: number }>
  /**
   * Compares the own model with the coordinate median of others' (at least 2f+1), and takes over theirs where it does no worse on the
   * own validation split. `accuracy` is theirs.
   */
  sync(round: number, f: number, held: readonly EncodedInput[]): Promise<{ adopted: boolean; accuracy?: number; accuracyBefore?: number }>
}

export function createLearner(parts: PeerParts, announcer: Announcer, emit: (event: PeerEvent) => void, stopping: AbortSignal): Learner {
  const { task, network, trainer, aggregator, store, hash } = parts
  const { codec, limits, rule, work } = task.manifest
  const vectors = { codec, length: task.exchanged, shared: task.shared, maxAbs: limits.maxAbs }
  let params = parts.initial
  let optimizer: Float32Array = new Float32Array()
  let steps = 0
  /** The model that the last training began with. */
  let start = params
  let accuracy: number | undefined
  let loss: number | undefined

  /** A peer's own order of batches in a round: fixed by task, peer and round, so that a retrained round repeats. */
  function seedOf(round: number): number {
    const digest = hash(new TextEncoder().encode(`${task.hex} ${network.self} ${round}`))
    return new DataView(digest.buffer, digest.byteOffset).getUint32(0)
  }

  function withExchanged(vector: Float32Array): Float32Array {
    if (task.exchanged === params.length) return vector.subarray(0, task.exchanged)
    const next = new Float32Array(params)
    next.set(vector.subarray(0, task.exchanged))
    return next
  }

  async function announceModel(round: number, final: boolean): Promise<DecodeFailure | undefined> {
    const checkpoint: Checkpoint = { round, stage: 'trained', steps, params, optimizer }
    const forge = final ? undefined : parts.forge
    const vector = forge?.({ start, trained: params, round }) ?? params
    const update = { round, vector, final, accuracy, forged: forge !== undefined }
    return announcer.announce(update, final ? undefined : () => store.saveCheckpoint(checkpoint))
  }

  const evaluate = (model: Float32Array) =>
    trainer.evaluate({ params: model, split: 'validation', samples: VALIDATION_SAMPLES, signal: stopping })

  const save = (round: number, stage: Checkpoint['stage']) => store.saveCheckpoint({ round, stage, steps, params, optimizer })

  function describe(round: number, f: number, updates: readonly Update[], outcome: AggregateOutcome): PeerEvent {
    const passed = outcome.inputs.flatMap((input, i) => {
      const { round: announced, accuracy } = updates[i]!
      return 'audit' in input ? { author: input.author, round: announced, ...(accuracy !== undefined && { accuracy }), ...input.audit } : []
    })
    const inputs = [...(outcome.own ? [{ author: network.self, round, ...outcome.own }] : []), ...passed]
    const trimmed = inputs.filter((input) => input.weight < 0.5 / inputs.length).length
    return {
      type: 'aggregated',
      round,
      rule,
      f,
      inputs,
      accepted: inputs.length - trimmed,
      trimmed,
      rejected: outcome.inputs.length - passed.length,
      ...(outcome.influence !== undefined && { influence: outcome.influence }),
      seconds: outcome.millis / 1000,
    }
  }

  return {
    model: () => params,
    metrics: () => ({ ...(accuracy !== undefined && { accuracy }), ...(loss !== undefined && { loss }) }),
    restore(checkpoint) {
      if (checkpoint !== undefined) ({ params, optimizer, steps } = checkpoint)
      start = params
    },
    adopt(vector) {
      if (vector !== undefined) params = withExchanged(vector)
      start = params
    },
    async train(round, signal) {
      start = params
      const millis = work.roundSeconds === undefined ? {} : { millis: work.roundSeconds * 1000 }
      const samples = await parts.loadData?.(round)
      const order = samples === undefined ? {} : { order: { samples } }
      const local = { steps: work.steps, stepsBefore: steps, seed: seedOf(round), ...millis, ...order }
      const result = await trainer.train({ params, optimizer, signal, ...local })
      if (signal.aborted) return false
      if (result.diverged !== undefined) {
        // The model the round began with is still good: a peer whose training fails takes part with that one and a fresh optimizer.
        optimizer = new Float32Array()
        emit({ type: 'warning', code: 'training-diverged', message: result.diverged })
        return true
      }
      ;({ params, optimizer, loss } = result)
      steps += result.steps
      emit({ type: 'trained', round, steps: result.steps, samples: result.samples, loss: result.loss, seconds: result.millis / 1000 })
      return true
    },
    async announce(round, final = false) {
      const refused = await announceModel(round, final)
      if (refused === undefined) return
      const what = refused === 'not-finite' ? 'a number that is not finite' : `a value above the ${limits.maxAbs} that others take`
      const message = `The own model of round ${round} holds ${what}`
      // Unlike what was trained since, it came from the network, or from the task.
      params = start
      optimizer = new Float32Array()
      if ((await announceModel(round, final)) !== undefined) {
        throw new MurmurError('training-diverged', `${message}, before any training: the task's weights or its codec do not go together.`)
      }
      const help = 'The one that its training began with goes out instead; lower the learning rate or set clipNorm.'
      emit({ type: 'warning', code: 'training-diverged', message: `${message}. ${help}` })
    },
    async aggregate(round, f, inputs, held) {
      // As others decode it; the model as it is where nothing was announced for this round.
      const own = announcer.vectorOf(round) ?? params.subarray(0, task.exchanged)
      const probed = parts.probe?.length ? { probe: { authors: parts.probe, start: start.subarray(0, task.exchanged) } } : {}
      const outcome = await aggregator.aggregate({ ...vectors, rule, f, own, inputs: held, ...probed })
      params = withExchanged(outcome.output)
      emit(describe(round, f, inputs, outcome))
      const [evaluation] = await Promise.all([evaluate(params), save(round, 'aggregated')])
      accuracy = evaluation.accuracy
      emit({ type: 'evaluated', round, split: 'validation', ...evaluation })
      return accuracy === undefined ? {} : { accuracy }
    },
    async sync(round, f, held) {
      const { output } = await aggregator.aggregate({ ...vectors, rule: 'median', f, inputs: held })
      const theirs = withExchanged(output)
      const before = await evaluate(params)
      const after = await evaluate(theirs)
      const adopted = Number.isFinite(after.loss) && !(after.loss > before.loss)
      accuracy = (adopted ? after : before).accuracy
      if (adopted) {
        params = theirs
        optimizer = new Float32Array()
        // Learning-rate schedules go by the network's progress.
        steps = Math.max(steps, round * work.steps)
        await save(round, 'aggregated')
      }
      return {
        adopted,
        ...(after.accuracy !== undefined && { accuracy: after.accuracy }),
        ...(before.accuracy !== undefined && { accuracyBefore: before.accuracy }),
      }
    },
  }
}
