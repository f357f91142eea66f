// The work that rounds ask for. One update in one direction: train -> encode -> sign -> store -> gossip; pull -> gate -> aggregate -> evaluate ->
// store -> next round.
import { encodeEvidence } from '../../protocol/gossip.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { RoundEffect, RoundEvent, RoundState } from '../../protocol/round/state.ts'
import { encodeSigned } from '../../protocol/signed.ts'
import { hexOf, topicOf } from '../../protocol/task.ts'
import type { Update } from '../../protocol/update.ts'
import type { PeerEvent } from '../events.ts'
import type { EncodedInput } from '../ports.ts'
import { createAnnouncer } from './announcer.ts'
import { createLearner } from './learner.ts'
import type { PeerParts } from './parts.ts'
import { createPuller } from './puller.ts'

/** Where a former process of this peer stood. */
export interface Resume {
  round: number
  stage: 'trained' | 'aggregated' | 'final'
}

export interface RoundOutlets {
  emit: (event: PeerEvent) => void
  onFinished: (reason: string) => void
  /** Proof of equivocation, by author: gathered by the rounds and the inbox, told to whoever asks. */
  evidence: Map<PeerId, { first: Uint8Array; second: Uint8Array }>
}

interface WorkOutlets extends RoundOutlets {
  state: () => RoundState
  /** Feeds back what came of it. */
  dispatch: (event: RoundEvent) => void
  background: (work: Promise<void>) => void
  stopping: AbortSignal
}

export function createRoundWork(parts: PeerParts, outlets: WorkOutlets) {
  const { task, network, trainer, store, clock } = parts
  const { manifest } = task
  const { emit, stopping } = outlets
  const announcer = createAnnouncer(parts, emit)
  const learner = createLearner(parts, announcer, emit, stopping)
  const puller = createPuller(parts, emit, stopping)
  let training = new AbortController()
  /** Settles once the update last announced is signed and stored. */
  let announced: Promise<void> = Promise.resolve()

  async function tellEquivocation(first: Update, second: Update): Promise<void> {
    const pair = { first: first.envelope, second: second.envelope }
    outlets.evidence.set(first.author, pair)
    emit({ type: 'equivocation', author: first.author, round: first.round })
    store.saveRecord(`evidence ${first.author}`, encodeSigned({ kind: 'evidence', ...pair }))
    await network.publish(topicOf(task), encodeEvidence(pair.first, pair.second))
  }

  async function train(round: number): Promise<void> {
    training = new AbortController()
    const done = await learner.train(round, AbortSignal.any([training.signal, stopping]))
    if (done && outlets.state().round === round) outlets.dispatch({ type: 'trained', round, now: clock.now() })
  }

  /** The own model as the update of `round`: on disk before anyone is told. */
  async function announce(round: number): Promise<void> {
    announced = learner.announce(round)
    await announced
    // Not where it was overtaken meanwhile.
    if (announcer.newest()?.round === round) outlets.background(announcer.publish())
  }

  async function pull(update: Update): Promise<void> {
    const ok = await puller.pull(update)
    if (ok !== undefined) outlets.dispatch({ type: 'payload', update, ok, now: clock.now() })
  }

  /** Where the bytes of a payload are, without reading a file of them here; undefined where it is not held any more. */
  async function payloadOf(root: string): Promise<EncodedInput['payload'] | undefined> {
    const file = await store.fileOf?.(root)
    return file === undefined ? store.getObject(root) : { file }
  }

  /** Runs what needs the payloads of a round's inputs; where some are not held any more, the round is told and goes on without them. */
  async function withPayloads(round: number, inputs: readonly Update[], use: (held: EncodedInput[]) => Promise<void>): Promise<void> {
    const held = await Promise.all(inputs.map(async ({ author, payload: { hash } }) => ({ author, payload: await payloadOf(hexOf(hash)) })))
    const lost = held.filter(({ payload }) => payload === undefined).map(({ author }) => author)
    if (lost.length === 0) await use(held as EncodedInput[])
    else outlets.dispatch({ type: 'aggregate-failed', round, authors: lost, now: clock.now() })
  }

  const aggregate = ({ round, f, inputs }: Extract<RoundEffect, { type: 'aggregate' }>) =>
    withPayloads(round, inputs, async (held) => {
      await announced
      const { accuracy } = await learner.aggregate(round, f, inputs, held)
      // Before the round goes on: what the next one announces or pulls must not be taken for a leftover.
      await prune()
      outlets.dispatch({ type: 'aggregated', round, ...(accuracy !== undefined && { accuracy }), now: clock.now() })
    })

  const sync = ({ round, from, f, inputs }: Extract<RoundEffect, { type: 'sync' }>) =>
    withPayloads(round, inputs, async (held) => {
      await announced
      const { adopted, ...accuracies } = await learner.sync(round, f, held)
      emit({ type: 'synced', from, to: round, inputs: inputs.length, adopted, ...accuracies })
      await prune()
      outlets.dispatch({ type: 'synced', round, adopted, now: clock.now() })
    })

  async function restore(): Promise<Resume | undefined> {
    const checkpoint = await store.loadCheckpoint()
    learner.restore(checkpoint)
    const signed = await announcer.restore(learner.model())
    if (signed?.final) return { round: signed.round - 1, stage: 'final' }
    if (signed !== undefined && signed.round > (checkpoint?.round ?? 0)) {
      // The checkpoint of the signed round is lost; what was signed is the model of that round.
      learner.adopt(announcer.vectorOf(signed.round))
      return { round: signed.round, stage: 'trained' }
    }
    // Trained, and perhaps not signed before the crash: the same model is then signed for the first time, once it begins.
    return checkpoint && { round: checkpoint.round, stage: checkpoint.stage }
  }

  async function finish(round: number, reason: string): Promise<void> {
    if (!announcer.newest()?.final) await learner.announce(round + 1, true)
    await announcer.publish()
    const params = learner.model()
    const { accuracy } = learner.metrics()
    const model = await parts.onFinish?.(params)
    emit({ type: 'finished', round, reason, ...(accuracy !== undefined && { accuracy }), ...(model !== undefined && { model }) })
    if (parts.testAtEnd) {
      const evaluation = await trainer.evaluate({ params, split: 'test', signal: stopping })
      emit({ type: 'evaluated', round, split: 'test', ...evaluation })
    }
    outlets.onFinished(reason)
  }

  /** Keeps on disk only the payloads that someone may still ask for. */
  async function prune(): Promise<void> {
    const updates = [
      announcer.newest(),
      ...[...outlets.state().members.values()].flatMap(({ latest, ready, future }) => [latest, ready, future]),
    ]
    const keep = new Set([manifest.model.hash, manifest.weights.hash])
    for (const update of updates) if (update !== undefined) keep.add(hexOf(update.payload.hash))
    puller.dropInline(keep)
    await store.pruneObjects(keep)
  }

  return {
    announcer,
    learner,
    puller,
    train,
    cancelTraining: () => training.abort(),
    announce,
    pull,
    aggregate,
    sync,
    tellEquivocation,
    restore,
    finish,
  }
}
