// The round loop: holds the state of the round machine and carries out what it asks for.
// One update in one direction: train -> encode -> sign -> store -> gossip; pull -> gate -> aggregate -> evaluate -> store -> next round.
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { encodeEvidence } from '../../protocol/gossip.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { RejectionCode } from '../../protocol/rejections.ts'
import { reduce } from '../../protocol/round/reducer.ts'
import type { RoundConfig, RoundEffect, RoundEvent, RoundState } from '../../protocol/round/state.ts'
import { encodeSigned } from '../../protocol/signed.ts'
import { hexOf, topicOf } from '../../protocol/task.ts'
import { sameUpdate, type Update } from '../../protocol/update.ts'
import type { PeerEvent } from '../events.ts'
import type { EncodedInput } from '../ports.ts'
import { createAnnouncer } from './announcer.ts'
import { watchClock } from './clock-watch.ts'
import { createLearner } from './learner.ts'
import type { PeerParts } from './parts.ts'
import { createPuller } from './puller.ts'
import { roundConfig } from './round-config.ts'

/** Times that connected members count as seen within the time after which a silent one is absent. */
const GREETINGS = 4

interface Outlets {
  emit: (event: PeerEvent) => void
  tellPhase: () => void
  onFinished: (reason: string) => void
  onFailed: (error: MurmurError) => void
  /** This process stood still: what others announced meanwhile has to be asked for before it goes on as if nothing had happened. */
  onClockLeap: () => void
  /** Proof of equivocation, by author: gathered by the loop and the inbox, told to whoever asks. */
  evidence: Map<PeerId, { first: Uint8Array; second: Uint8Array }>
}

export interface Loop {
  readonly config: RoundConfig
  state(): RoundState
  /** Feeds the round machine; returns why a record was not taken. */
  dispatch(event: RoundEvent): RejectionCode | undefined
  /** Loads what a former process left, and says where that stood. */
  restore(): Promise<{ round: number; stage: 'trained' | 'aggregated' | 'final' } | undefined>
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
  const { task, network, trainer, store, clock } = parts
  const { manifest } = task
  const { emit, tellPhase } = outlets
  const config = roundConfig(parts)
  const stopping = new AbortController()
  const announcer = createAnnouncer(parts, emit)
  const learner = createLearner(parts, announcer, emit, stopping.signal)
  const puller = createPuller(parts, emit, stopping.signal)

  let state = initial
  let resume: { round: number; stage: 'trained' | 'aggregated' | 'final' } | undefined
  let training = new AbortController()
  /** Settles once the update last announced is signed and stored. */
  let announced: Promise<void> = Promise.resolve()
  let wake: { at: number; cancel: () => void } | undefined
  let cancelGreeting = () => {}
  let watch: ReturnType<typeof watchClock> | undefined
  const running = new Set<Promise<void>>()

  function dispatch(event: RoundEvent): RejectionCode | undefined {
    watch?.look()
    return step(event)
  }

  function step(event: RoundEvent): RejectionCode | undefined {
    if (stopping.signal.aborted) return undefined
    const before = state
    const { state: after, effects, rejected } = reduce(state, event, config)
    state = after
    if (event.type === 'evict') puller.abort(event.peers)
    for (const effect of effects) carryOut(effect)
    if (before.phase !== state.phase || before.round !== state.round) tellPhase()
    return rejected
  }

  function onLeap(millis: number): void {
    step({ type: 'leap', millis, now: clock.now() })
    if (!stopping.signal.aborted) outlets.onClockLeap()
  }

  /** A connection is a sign of life, however long its peer has nothing to announce. */
  function greet(): void {
    const connected = network.peers().filter((peer) => parts.members.isMember(peer))
    for (const peer of connected) dispatch({ type: 'peer', peer, now: clock.now() })
    cancelGreeting = clock.after(config.absentAfterMillis / GREETINGS, greet)
  }

  function carryOut(effect: RoundEffect): void {
    switch (effect.type) {
      case 'train':
        background(train(effect.round))
        break
      case 'cancel-training':
        training.abort()
        break
      case 'announce':
        announced = announce(effect.round)
        background(announced)
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
      case 'sync':
        background(sync(effect))
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

  /** One timer is enough, the earliest: a wake that comes too early asks for the next one. */
  function wakeAt(at: number): void {
    if (wake !== undefined && wake.at <= at) return
    wake?.cancel()
    const cancel = clock.after(Math.max(0, at - clock.now()), () => {
      wake = undefined
      dispatch({ type: 'wake', now: clock.now() })
    })
    wake = { at, cancel }
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
    const done = await learner.train(round, AbortSignal.any([training.signal, stopping.signal]))
    if (done && state.round === round) dispatch({ type: 'trained', round, now: clock.now() })
  }

  /** The own model as the update of `round`: on disk before anyone is told. */
  async function announce(round: number): Promise<void> {
    await learner.announce(round)
    // Not where it was overtaken meanwhile.
    if (announcer.newest()?.round === round) background(announcer.publish())
  }

  async function pull(update: Update): Promise<void> {
    const ok = await puller.pull(update)
    if (ok !== undefined) dispatch({ type: 'payload', update, ok, now: clock.now() })
  }

  /** Runs what needs the payloads of a round's inputs; where some are not held any more, the round is told and goes on without them. */
  async function withPayloads(round: number, inputs: readonly Update[], use: (held: EncodedInput[]) => Promise<void>): Promise<void> {
    const held = await Promise.all(
      inputs.map(async ({ author, payload: { hash } }) => ({ author, payload: await store.getObject(hexOf(hash)) })),
    )
    const lost = held.filter(({ payload }) => payload === undefined).map(({ author }) => author)
    if (lost.length === 0) await use(held as EncodedInput[])
    else dispatch({ type: 'aggregate-failed', round, authors: lost, now: clock.now() })
  }

  const aggregate = ({ round, f, inputs }: Extract<RoundEffect, { type: 'aggregate' }>) =>
    withPayloads(round, inputs, async (held) => {
      await announced
      const { accuracy } = await learner.aggregate(round, f, inputs, held)
      // Before the round goes on: what the next one announces or pulls must not be taken for a leftover.
      await prune()
      dispatch({ type: 'aggregated', round, ...(accuracy !== undefined && { accuracy }), now: clock.now() })
    })

  const sync = ({ round, from, f, inputs }: Extract<RoundEffect, { type: 'sync' }>) =>
    withPayloads(round, inputs, async (held) => {
      const { adopted, ...accuracies } = await learner.sync(round, f, held)
      emit({ type: 'synced', from, to: round, inputs: inputs.length, adopted, ...accuracies })
      await prune()
      dispatch({ type: 'synced', round, adopted, now: clock.now() })
    })

  async function restore(): Promise<typeof resume> {
    const checkpoint = await store.loadCheckpoint()
    learner.restore(checkpoint)
    const signed = await announcer.restore(learner.model())
    if (signed?.final) resume = { round: signed.round - 1, stage: 'final' }
    else if (signed !== undefined && signed.round > (checkpoint?.round ?? 0)) {
      // The checkpoint of the signed round is lost; what was signed is the model of that round.
      learner.adopt(announcer.vectorOf(signed.round))
      resume = { round: signed.round, stage: 'trained' }
    } else if (checkpoint !== undefined) {
      // Trained, and perhaps not signed before the crash: the same model is then signed for the first time, once it begins.
      resume = { round: checkpoint.round, stage: checkpoint.stage }
    }
    return resume
  }

  async function finish(round: number, reason: string): Promise<void> {
    const params = learner.model()
    const { accuracy } = learner.metrics()
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
    puller.dropInline(keep)
    await store.pruneObjects(keep)
  }

  return {
    config,
    dispatch,
    restore,
    state: () => state,
    begin() {
      watch = watchClock(clock, onLeap)
      dispatch({ type: 'start', now: clock.now(), ...(resume && { resume }) })
      greet()
      if (resume?.stage === 'final') background(finish(resume.round, 'it had finished before this start'))
      tellPhase()
    },
    async stop() {
      stopping.abort()
      watch?.stop()
      wake?.cancel()
      cancelGreeting()
      await Promise.all(running)
    },
    model: learner.model,
    metrics: learner.metrics,
    records() {
      const honest = [...state.members].filter(([id]) => !state.shutOut.has(id))
      // The earlier one first: the other way round it would be too old for whoever lacks both.
      const others = honest.flatMap(([, { latest, future }]) => [latest ?? [], future ?? []].flat())
      return [announcer.newest() ?? [], ...others].flat().map((update) => update.envelope)
    },
    knows(update) {
      if (update.author === network.self) return update.round <= (announcer.newest()?.round ?? 0)
      const member = state.members.get(update.author)
      const held = [member?.latest, member?.future].filter((other) => other !== undefined)
      return held.some((other) => other.round > update.round || sameUpdate(other, update))
    },
    holdInline: puller.holdInline,
    dropInline: puller.dropInline,
    onOwnRecord(update) {
      const known = announcer.newest()?.round ?? 0
      if (update.round <= known) return
      outlets.onFailed(
        new MurmurError(
          'directory-invalid',
          `This peer has signed round ${update.round} before, but its directory knows only round ${known}: it is a copy or an old backup. Stop the other copy, or join anew in an empty directory; keep this one's founder.key where it has one.`,
        ),
      )
    },
  }
}
