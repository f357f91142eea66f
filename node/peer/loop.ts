// The round loop: holds the state of the round machine and carries out what it asks for.
// One update in one direction: train -> encode -> sign -> store -> gossip; pull -> gate -> aggregate -> evaluate -> store -> next round.
import { codecOf } from '../../protocol/codec/index.ts'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import type { RejectionCode } from '../../protocol/rejections.ts'
import { reduce } from '../../protocol/round/reducer.ts'
import type { RoundConfig, RoundEffect, RoundEvent, RoundState } from '../../protocol/round/state.ts'
import { hexOf, topicOf } from '../../protocol/task.ts'
import { encodeAnnouncement, encodeEvidence, openUpdate, sameUpdate, sealUpdate, type Update } from '../../protocol/update.ts'
import type { PeerEvent } from '../events.ts'
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
  const { task, network, trainer, aggregator, store, exchange, clock, hash, signer } = parts
  const { manifest } = task
  const { emit, tellPhase } = outlets
  const codec = codecOf(manifest.codec)
  const config = roundConfig(parts)
  const rules = { task: task.id, codec: manifest.codec, length: task.exchanged, verify: parts.verify }

  let state = initial
  let params = parts.initial
  let optimizer: Float32Array = new Float32Array()
  let steps = 0
  /** The model that the round in hand began with. */
  let start = parts.initial
  let accuracy: number | undefined
  let loss: number | undefined
  /** The newest round whose record was begun to be signed: rounds strictly increase, also where a jump overtakes one. */
  let signing = 0
  let announcement: { update: Update; payload: Uint8Array; told: boolean } | undefined
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
        background(publish())
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
    const message = encodeEvidence(first.envelope, second.envelope)
    outlets.evidence.set(first.author, { first: first.envelope, second: second.envelope })
    emit({ type: 'equivocation', author: first.author, round: first.round })
    store.saveRecord(`evidence ${first.author}`, message)
    await network.publish(topicOf(task), message)
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
    let trained = params
    try {
      const millis = manifest.work.roundSeconds === undefined ? {} : { millis: manifest.work.roundSeconds * 1000 }
      const seed = seedOf(round)
      const result = await trainer.train({ params, optimizer, steps: manifest.work.steps, seed, stepsBefore: steps, signal, ...millis })
      if (signal.aborted || state.round !== round) return
      trained = result.params
      optimizer = result.optimizer
      steps += result.steps
      loss = result.loss
      emit({ type: 'trained', round, steps: result.steps, samples: result.samples, loss: result.loss, seconds: result.millis / 1000 })
    } catch (error) {
      if (!isMurmurError(error, 'training-diverged')) throw error
      // The model the round began with is still good: it takes part with that one and a fresh optimizer.
      optimizer = new Float32Array()
      emit({ type: 'warning', code: error.code, message: error.message })
      if (signal.aborted || state.round !== round) return
    }
    params = trained
    await announce(round, parts.forge ? parts.forge({ start, trained, round }) : trained, false)
    dispatch({ type: 'trained', round, now: clock.now() })
  }

  /** Encodes, signs and stores the update of a round; nothing is told to anyone before it is on disk. */
  async function announce(round: number, vector: Float32Array, final: boolean): Promise<void> {
    if (round <= signing) return
    signing = round
    const payload = codec.encode(vector.subarray(0, task.exchanged))
    const root = payloadRoot(payload, hash)
    const ref = { hash: root, length: payload.length, codec: manifest.codec }
    const told = accuracy !== undefined && manifest.stop.targetAccuracy !== undefined ? { accuracy } : {}
    const update = sealUpdate({ round, payload: ref, final, ...told }, task.id, signer)
    await Promise.all([
      store.putObject(hexOf(root), payload),
      final ? undefined : store.saveCheckpoint({ round, stage: 'trained', steps, params, optimizer }),
    ])
    if (signing !== round) return
    await store.saveAnnouncement(update.envelope)
    // Only now: whoever asks is told what a restart will know too.
    if (round > (announcement?.update.round ?? 0)) announcement = { update, payload, told: false }
  }

  async function publish(): Promise<void> {
    if (announcement === undefined) return
    const { update, payload, told } = announcement
    announcement.told = true
    const recipients = await network.publish(topicOf(task), encodeAnnouncement(update.envelope, payload))
    emit({ type: 'published', round: update.round, bytes: payload.length, recipients, republished: told })
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
    const own = ownVector(round)
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
    const next = Float32Array.from(params)
    next.set(outcome.output)
    params = next
    emit(describe(round, f, inputs, outcome))
    const [evaluation] = await Promise.all([
      trainer.evaluate({ params, split: 'validation', samples: VALIDATION_SAMPLES, signal: stopping.signal }),
      store.saveCheckpoint({ round, stage: 'aggregated', steps, params, optimizer }),
    ])
    accuracy = evaluation.accuracy
    emit({ type: 'evaluated', round, split: 'validation', ...evaluation })
    // Before the round goes on: what the next one announces or pulls must not be taken for a leftover.
    await prune()
    dispatch({ type: 'aggregated', round, accuracy, now: clock.now() })
  }

  /** What others have of us in this round, as they decode it; the model as it is where nothing was announced for it. */
  function ownVector(round: number): Float32Array {
    const decoded =
      announcement?.update.round === round ? codec.decode(announcement.payload, task.exchanged, manifest.limits.maxAbs) : undefined
    return decoded !== undefined && 'values' in decoded ? decoded.values : params.subarray(0, task.exchanged)
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
    if (announcement?.update.final !== true) await announce(round + 1, params, true)
    await publish()
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
    const keep = new Set([manifest.model.hash, manifest.weights.hash])
    if (announcement !== undefined) keep.add(hexOf(announcement.update.payload.hash))
    for (const { latest, ready, future } of state.members.values()) {
      for (const update of [latest, ready, future]) if (update !== undefined) keep.add(hexOf(update.payload.hash))
    }
    for (const key of inlined.keys()) if (!keep.has(key)) inlined.delete(key)
    await store.pruneObjects(keep)
  }

  /** A peer's own order of batches in a round: fixed by task, peer and round, so that a retrained round repeats. */
  function seedOf(round: number): number {
    const digest = hash(new TextEncoder().encode(`${task.hex} ${network.self} ${round}`))
    return new DataView(digest.buffer, digest.byteOffset).getUint32(0)
  }

  /** A signed payload that is lost, from the checkpoint it was made of; undefined where that gives other bytes. */
  async function encodeAgain(update: Update): Promise<Uint8Array | undefined> {
    const payload = codec.encode(params.subarray(0, task.exchanged))
    const root = payloadRoot(payload, hash)
    if (hexOf(root) !== hexOf(update.payload.hash)) return undefined
    await store.putObject(hexOf(root), payload)
    return payload
  }

  async function restore(): Promise<void> {
    const [checkpoint, envelope] = await Promise.all([store.loadCheckpoint(), store.loadAnnouncement()])
    if (checkpoint !== undefined) ({ params, optimizer, steps } = checkpoint)
    start = params
    if (envelope !== undefined) {
      const update = openUpdate(envelope, rules)
      const payload =
        typeof update === 'object' ? ((await store.getObject(hexOf(update.payload.hash))) ?? (await encodeAgain(update))) : undefined
      if (typeof update === 'string' || payload === undefined || update.author !== network.self) {
        throw new MurmurError(
          'directory-invalid',
          "The stored announcement is damaged or another peer's; restore the directory or join anew from an empty one.",
        )
      }
      announcement = { update, payload, told: true }
      signing = update.round
    }
    const signed = announcement?.update.round ?? 0
    if (announcement?.update.final) resume = { round: signed - 1, stage: 'final' }
    else if (signed > (checkpoint?.round ?? 0)) {
      // The checkpoint of the signed round is lost; what was signed is the model of that round.
      const decoded = codec.decode(announcement!.payload, task.exchanged, manifest.limits.maxAbs)
      if ('values' in decoded) params = Float32Array.from([...decoded.values, ...params.subarray(task.exchanged)])
      resume = { round: signed, stage: 'trained' }
    } else if (checkpoint !== undefined) {
      // Trained but not signed before the crash: the same model is signed now, for the first time.
      if (checkpoint.stage === 'trained' && signed < checkpoint.round) await announce(checkpoint.round, params, false)
      resume = { round: checkpoint.round, stage: checkpoint.stage }
    }
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
      return [...(announcement ? [announcement.update] : []), ...others].map((update) => update.envelope)
    },
    knows(update) {
      if (update.author === network.self) return announcement !== undefined && update.round <= announcement.update.round
      const member = state.members.get(update.author)
      const held = [member?.latest, member?.future].filter((other) => other !== undefined)
      return held.some((other) => other.round > update.round || sameUpdate(other, update))
    },
    holdInline(update, payload) {
      if (inlined.size < 2 * LIMITS.members) inlined.set(hexOf(update.payload.hash), payload)
    },
    dropInline: (update) => void inlined.delete(hexOf(update.payload.hash)),
    onOwnRecord(update) {
      if (update.round <= (announcement?.update.round ?? 0)) return
      outlets.onFailed(
        new MurmurError(
          'directory-invalid',
          `This peer has signed round ${update.round} before, but its directory knows only round ${announcement?.update.round ?? 0}: it is a copy or an old backup. Remove it and join anew, or stop the other copy.`,
        ),
      )
    },
  }
}
