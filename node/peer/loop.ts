// The round loop: holds the state of the round machine and carries out what it asks for.
// One update in one direction: train -> encode -> sign -> store -> gossip; pull -> gate -> aggregate -> evaluate -> store -> next round.
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { RejectionCode } from '../../protocol/rejections.ts'
import { reduce } from '../../protocol/round/reducer.ts'
import type { RoundConfig, RoundEffect, RoundEvent, RoundState } from '../../protocol/round/state.ts'
import { encodeSigned } from '../../protocol/signed.ts'
import { hexOf, topicOf } from '../../protocol/task.ts'
import { encodeEvidence, sameUpdate, type Update } from '../../protocol/update.ts'
import type { PeerEvent } from '../events.ts'
import { createAnnouncer } from './announcer.ts'
import type { PeerParts } from './parts.ts'
import { roundConfig } from './round-config.ts'

/** Validation samples read after each round, at a regular stride: more would take longer than they tell. */
const VALIDATION_SAMPLES = 500

interface Outlets {
  emit: (event: PeerEvent) => void
  tellPhase: () => void
  onFinished: (reason: string) => void
  onFailed: (error: MurmurError) => void
  /** Proof of equivocation, by author: gathered by the loop and the inbox, told to whoever asks. */
  evidence: Map<PeerId, { first: Uint8Array; second: Uint8Array }>
}

export interface Loop {
  readonly config: RoundConfig
  state(): RoundState
  /** Feeds the round machine; returns why a record was not taken. */
  dispatch(event: RoundEvent): RejectionCode | undefined
  /** Loads what a former process left. */
  restore(): Promise<void>
  begin(): void
  stop(): Promise<void>
  model(): Float32Array
  metrics(): { accuracy?: number; loss?: number }
  /** Newest signed records held, own first: what is told to those who missed them. */
  records(): Uint8Array[]
  knows(update: Update): boolean
  /** A payload that came beside its record, already checked against it. */
  holdInline(update: Update, payload: Uint8Array): void
  /** Its record was not taken. */
  dropInline(update: Update): void
  /** The own record came back from others. */
  onOwnRecord(update: Update): void
}

export function createLoop(parts: PeerParts, initial: RoundState, outlets: Outlets): Loop {
  const { task, network, trainer, aggregator, store, exchange, clock, hash } = parts
  const { manifest } = task
  const { emit, tellPhase } = outlets
  const config = roundConfig(parts)
  const announcer = createAnnouncer(parts, emit)

  let state = initial
  let params = parts.initial
  let optimizer: Float32Array = new Float32Array()
  let steps = 0
  /** The model that the round in hand began with. */
  let start = parts.initial
  let accuracy: number | undefined
  let loss: number | undefined
  let resume: { round: number; stage: 'trained' | 'aggregated' | 'final' } | undefined
  let training = new AbortController()
  const inlined = new Map<string, Uint8Array>()
  const pulling = new Map<PeerId, AbortController>()
  const stopping = new AbortController()
  const timers = new Set<() => void>()
  const running = new Set<Promise<void>>()

  function dispatch(event: RoundEvent): RejectionCode | undefined {
    if (stopping.signal.aborted) return undefined
    const before = state
    const step = reduce(state, event, config)
    state = step.state
    for (const effect of step.effects) carryOut(effect)
    if (before.phase !== state.phase || before.round !== state.round) tellPhase()
    return step.rejected
  }

  function carryOut(effect: RoundEffect): void {
    switch (effect.type) {
      case 'train':
        background(train(effect.round))
        break
      case 'cancel-training':
        training.abort()
        break
      case 'publish':
        background(announcer.publish())
        break
      case 'pull':
        background(pull(effect.update))
        break
      case 'aggregate':
        background(aggregate(effect))
        break
      case 'wake':
        wakeAt(effect.at)
        break
      case 'jumped':
        emit({ type: 'jumped', from: effect.from, to: effect.to })
        break
      case 'equivocation':
        background(tellEquivocation(effect.first, effect.second))
        break
      case 'finish':
        background(finish(effect.round, effect.reason))
        break
    }
  }

  function wakeAt(at: number): void {
    const cancel = clock.after(Math.max(0, at - clock.now()), () => {
      timers.delete(cancel)
      dispatch({ type: 'wake', now: clock.now() })
    })
    timers.add(cancel)
  }

  async function tellEquivocation(first: Update, second: Update): Promise<void> {
    const pair = { first: first.envelope, second: second.envelope }
    outlets.evidence.set(first.author, pair)
    emit({ type: 'equivocation', author: first.author, round: first.round })
    store.saveRecord(`evidence ${first.author}`, encodeSigned({ kind: 'evidence', ...pair }))
    await network.publish(topicOf(task), encodeEvidence(pair.first, pair.second))
  }

  /** Work that must not be lost sight of: `stop` waits for it, and a failure ends the peer with one sentence. */
  function background(work: Promise<void>): void {
    const watched = work.catch((error: unknown) => {
      if (stopping.signal.aborted || isMurmurError(error, 'cancelled')) return
      outlets.onFailed(
        isMurmurError(error) ? error : new MurmurError('internal', `Unexpected failure: ${String(error)}.`, { cause: error }),
      )
    })
    running.add(watched)
    watched.finally(() => running.delete(watched))
  }

  async function train(round: number): Promise<void> {
    training = new AbortController()
    const signal = AbortSignal.any([training.signal, stopping.signal])
    start = params
    const millis = manifest.work.roundSeconds === undefined ? {} : { millis: manifest.work.roundSeconds * 1000 }
    const seed = seedOf(round)
    const samples = await parts.loadData?.(round)
    const order = samples === undefined ? {} : { order: { samples } }
    const work = { steps: manifest.work.steps, ...millis, ...order }
    const result = await trainer.train({ params, optimizer, seed, stepsBefore: steps, signal, ...work })
    if (signal.aborted || state.round !== round) return
    const { diverged } = result
    // The model the round began with is still good: a peer whose training fails takes part with that one and a fresh optimizer.
    const trained = diverged === undefined ? result.params : params
    optimizer = diverged === undefined ? result.optimizer : new Float32Array()
    if (diverged === undefined) {
      steps += result.steps
      loss = result.loss
      emit({ type: 'trained', round, steps: result.steps, samples: result.samples, loss: result.loss, seconds: result.millis / 1000 })
    } else {
      emit({ type: 'warning', code: 'training-diverged', message: diverged })
    }
    params = trained
    const vector = parts.forge ? parts.forge({ start, trained, round }) : trained
    await announcer.announce({ round, vector, final: false, accuracy }, () =>
      store.saveCheckpoint({ round, stage: 'trained', steps, params, optimizer }),
    )
    dispatch({ type: 'trained', round, now: clock.now() })
  }

  /** Ends the pull of an older record of the same author: one at a time, however slowly it is answered. */
  function supersede(author: PeerId): AbortSignal {
    pulling.get(author)?.abort()
    const controller = new AbortController()
    pulling.set(author, controller)
    return AbortSignal.any([controller.signal, stopping.signal])
  }

  async function pull(update: Update): Promise<void> {
    const { author, round } = update
    const answer = (ok: boolean) => dispatch({ type: 'payload', update, ok, now: clock.now() })
    const signal = supersede(author)
    let payload: Uint8Array
    try {
      const key = hexOf(update.payload.hash)
      const inline = inlined.get(key)
      if (inline !== undefined) await store.putObject(key, inline)
      inlined.delete(key)
      const others = () => network.peers().filter((peer) => peer !== author)
      payload = await exchange.pull(update.payload, () => [author, ...others()], { signal })
    } catch {
      if (signal.aborted) return
      emit({ type: 'rejected', code: 'unavailable', author, round })
      answer(false)
      return
    }
    const code = await aggregator.check(payload, { codec: manifest.codec, length: task.exchanged, maxAbs: manifest.limits.maxAbs })
    if (code === undefined) emit({ type: 'received', round, author, bytes: payload.length })
    else emit({ type: 'rejected', code, author, round })
    answer(code === undefined)
  }

  async function aggregate({ round, f, inputs }: Extract<RoundEffect, { type: 'aggregate' }>): Promise<void> {
    const held = await Promise.all(inputs.map(async (update) => ({ update, payload: await store.getObject(hexOf(update.payload.hash)) })))
    const lost = held.filter((input) => input.payload === undefined).map((input) => input.update.author)
    if (lost.length > 0) {
      dispatch({ type: 'aggregate-failed', round, authors: lost, now: clock.now() })
      return
    }
    // As others decode it; the model as it is where nothing was announced for this round.
    const own = announcer.vectorOf(round) ?? params.subarray(0, task.exchanged)
    const probed = parts.probe?.length ? { probe: { authors: parts.probe, start: start.subarray(0, task.exchanged) } } : {}
    const outcome = await aggregator.aggregate({
      rule: manifest.rule,
      f,
      codec: manifest.codec,
      length: task.exchanged,
      shared: task.shared,
      maxAbs: manifest.limits.maxAbs,
      own,
      inputs: held.map(({ update, payload }) => ({ author: update.author, payload: payload! })),
      ...probed,
    })
    params = withExchanged(outcome.output)
    emit(describe(round, f, inputs, outcome))
    const [evaluation] = await Promise.all([
      trainer.evaluate({ params, split: 'validation', samples: VALIDATION_SAMPLES, signal: stopping.signal }),
      store.saveCheckpoint({ round, stage: 'aggregated', steps, params, optimizer }),
    ])
    accuracy = evaluation.accuracy
    emit({ type: 'evaluated', round, split: 'validation', ...evaluation })
    // Before the round goes on: what the next one announces or pulls must not be taken for a leftover.
    await prune()
    dispatch({ type: 'aggregated', round, ...(accuracy !== undefined && { accuracy }), now: clock.now() })
  }

  function describe(
    round: number,
    f: number,
    updates: readonly Update[],
    outcome: Awaited<ReturnType<typeof aggregator.aggregate>>,
  ): PeerEvent {
    const passed = outcome.inputs.flatMap((input, i) =>
      'audit' in input ? { author: input.author, round: updates[i]!.round, ...input.audit } : [],
    )
    const inputs = [{ author: network.self, round, ...outcome.own }, ...passed]
    const trimmed = inputs.filter((input) => input.weight < 0.5 / inputs.length).length
    return {
      type: 'aggregated',
      round,
      rule: manifest.rule,
      f,
      inputs,
      accepted: inputs.length - trimmed,
      trimmed,
      rejected: outcome.inputs.length - passed.length,
      ...(outcome.influence !== undefined && { influence: outcome.influence }),
      seconds: outcome.millis / 1000,
    }
  }

  async function finish(round: number, reason: string): Promise<void> {
    if (!announcer.newest()?.final) await announcer.announce({ round: round + 1, vector: params, final: true, accuracy })
    await announcer.publish()
    const model = await parts.onFinish?.(params)
    emit({ type: 'finished', round, reason, ...(accuracy !== undefined && { accuracy }), ...(model !== undefined && { model }) })
    if (parts.testAtEnd) {
      const evaluation = await trainer.evaluate({ params, split: 'test', signal: stopping.signal })
      emit({ type: 'evaluated', round, split: 'test', ...evaluation })
    }
    outlets.onFinished(reason)
  }

  /** Keeps on disk only the payloads that someone may still ask for. */
  async function prune(): Promise<void> {
    const updates = [announcer.newest(), ...[...state.members.values()].flatMap(({ latest, ready, future }) => [latest, ready, future])]
    const keep = new Set([manifest.model.hash, manifest.weights.hash])
    for (const update of updates) if (update !== undefined) keep.add(hexOf(update.payload.hash))
    for (const key of inlined.keys()) if (!keep.has(key)) inlined.delete(key)
    await store.pruneObjects(keep)
  }

  /** A peer's own order of batches in a round: fixed by task, peer and round, so that a retrained round repeats. */
  function seedOf(round: number): number {
    const digest = hash(new TextEncoder().encode(`${task.hex} ${network.self} ${round}`))
    return new DataView(digest.buffer, digest.byteOffset).getUint32(0)
  }

  async function restore(): Promise<void> {
    const checkpoint = await store.loadCheckpoint()
    if (checkpoint !== undefined) ({ params, optimizer, steps } = checkpoint)
    const signed = await announcer.restore(params)
    if (signed?.final) resume = { round: signed.round - 1, stage: 'final' }
    else if (signed !== undefined && signed.round > (checkpoint?.round ?? 0)) {
      // The checkpoint of the signed round is lost; what was signed is the model of that round.
      params = withExchanged(announcer.vectorOf(signed.round) ?? params)
      resume = { round: signed.round, stage: 'trained' }
    } else if (checkpoint !== undefined) {
      // Trained but not signed before the crash: the same model is signed now, for the first time.
      if (checkpoint.stage === 'trained') await announcer.announce({ round: checkpoint.round, vector: params, final: false, accuracy })
      resume = { round: checkpoint.round, stage: checkpoint.stage }
    }
    start = params
  }

  /** The own model with its exchanged part replaced; what is personal stays. */
  function withExchanged(vector: Float32Array): Float32Array {
    const next = Float32Array.from(params)
    next.set(vector.subarray(0, task.exchanged))
    return next
  }

  return {
    config,
    dispatch,
    restore,
    state: () => state,
    begin() {
      dispatch({ type: 'start', now: clock.now(), ...(resume && { resume }) })
      if (resume?.stage === 'final') background(finish(resume.round, 'it had finished before this start'))
      tellPhase()
    },
    async stop() {
      stopping.abort()
      for (const cancel of timers) cancel()
      await Promise.all(running)
    },
    model: () => params,
    metrics: () => ({ ...(accuracy !== undefined && { accuracy }), ...(loss !== undefined && { loss }) }),
    records() {
      const honest = [...state.members].filter(([id]) => !state.shutOut.has(id))
      const others = honest.flatMap(([, { latest, future }]) => future ?? latest ?? [])
      return [announcer.newest() ?? [], ...others].flat().map((update) => update.envelope)
    },
    knows(update) {
      if (update.author === network.self) return update.round <= (announcer.newest()?.round ?? 0)
      const member = state.members.get(update.author)
      const held = [member?.latest, member?.future].filter((other) => other !== undefined)
      return held.some((other) => other.round > update.round || sameUpdate(other, update))
    },
    holdInline(update, payload) {
      if (inlined.size < 2 * LIMITS.members) inlined.set(hexOf(update.payload.hash), payload)
    },
    dropInline: (update) => void inlined.delete(hexOf(update.payload.hash)),
    onOwnRecord(update) {
      const known = announcer.newest()?.round ?? 0
      if (update.round <= known) return
      outlets.onFailed(
        new MurmurError(
          'directory-invalid',
          `This peer has signed round ${update.round} before, but its directory knows only round ${known}: it is a copy or an old backup. Remove it and join anew, or stop the other copy.`,
        ),
      )
    },
  }
}
