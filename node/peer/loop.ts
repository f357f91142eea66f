// The round loop: holds the state of the round machine, has carried out what it asks for, and keeps its time.
import { asMurmurError, isMurmurError, MurmurError } from '../../protocol/errors.ts'
import type { RejectionCode } from '../../protocol/rejections.ts'
import { refusalOf } from '../../protocol/round/intake.ts'
import { reduce } from '../../protocol/round/reducer.ts'
import type { RoundConfig, RoundEffect, RoundEvent, RoundState } from '../../protocol/round/state.ts'
import { sameUpdate, type Update } from '../../protocol/update.ts'
import { watchClock } from './clock-watch.ts'
import type { PeerParts } from './parts.ts'
import { roundConfig } from './round-config.ts'
import { createRoundWork, type Resume, type RoundOutlets } from './round-work.ts'

/** Times that connected members count as seen within the time after which a silent one is absent. */
const GREETINGS = 4

interface Outlets extends RoundOutlets {
  tellPhase: () => void
  onFailed: (error: MurmurError) => void
  /** This process stood still: what others announced meanwhile has to be asked for before it goes on as if nothing had happened. */
  onClockLeap: () => void
}

export interface Loop {
  readonly config: RoundConfig
  state(): RoundState
  /** Feeds the round machine; returns why a record was not taken. */
  dispatch(event: RoundEvent): RejectionCode | undefined
  /** Loads what a former process left, and says where that stood. */
  restore(): Promise<Resume | undefined>
  begin(): void
  stop(): Promise<void>
  model(): Float32Array
  metrics(): { accuracy?: number; loss?: number }
  /** Newest signed records held, own first: what is told to those who missed them. */
  records(): Uint8Array[]
  knows(update: Update): boolean
  /** Why nothing would come of a record, whoever signed it; undefined where that depends on its signature. */
  refusalOf(update: Update): RejectionCode | undefined
  /** A payload that came beside its record, already checked against it. */
  holdInline(update: Update, payload: Uint8Array): void
  /** Its record was not taken. */
  dropInline(update: Update): void
  /** The own record came back from others. */
  onOwnRecord(update: Update): void
}

export function createLoop(parts: PeerParts, initial: RoundState, outlets: Outlets): Loop {
  const { network, clock } = parts
  const { emit, tellPhase } = outlets
  const config = roundConfig(parts)
  const stopping = new AbortController()

  let state = initial
  let resume: Resume | undefined
  let wake: { at: number; cancel: () => void } | undefined
  let cancelGreeting = () => {}
  let watch: ReturnType<typeof watchClock> | undefined
  const running = new Set<Promise<void>>()
  const work = createRoundWork(parts, { ...outlets, state: () => state, dispatch, background, stopping: stopping.signal })
  const { announcer, learner, puller } = work

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
        background(work.train(effect.round))
        break
      case 'cancel-training':
        work.cancelTraining()
        break
      case 'announce':
        background(work.announce(effect.round))
        break
      case 'publish':
        background(announcer.publish())
        break
      case 'pull':
        background(work.pull(effect.update))
        break
      case 'aggregate':
        background(work.aggregate(effect))
        break
      case 'sync':
        background(work.sync(effect))
        break
      case 'wake':
        wakeAt(effect.at)
        break
      case 'jumped':
        emit({ type: 'jumped', from: effect.from, to: effect.to })
        break
      case 'equivocation':
        background(work.tellEquivocation(effect.first, effect.second))
        break
      case 'finish':
        background(work.finish(effect.round, effect.reason))
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

  /** Work that must not be lost sight of: `stop` waits for it, and a failure ends the peer with one sentence. */
  function background(work: Promise<void>): void {
    const watched = work.catch((error: unknown) => {
      if (stopping.signal.aborted || isMurmurError(error, 'cancelled')) return
      outlets.onFailed(asMurmurError(error))
    })
    running.add(watched)
    watched.finally(() => running.delete(watched))
  }

  return {
    config,
    dispatch,
    async restore() {
      resume = await work.restore()
      return resume
    },
    state: () => state,
    begin() {
      watch = watchClock(clock, onLeap)
      dispatch({ type: 'start', now: clock.now(), ...(resume && { resume }) })
      greet()
      if (resume?.stage === 'final') background(work.finish(resume.round, 'it had finished before this start'))
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
    refusalOf(update) {
      // A newer one in the own name means something, where it is signed.
      if (update.author === network.self) return update.round <= (announcer.newest()?.round ?? 0) ? 'own' : undefined
      return refusalOf(state, update, config)
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
