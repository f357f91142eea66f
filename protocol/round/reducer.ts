// The round machine: (state, event) -> (state, effects). It holds no clock; every event that time matters to carries it.
import type { PeerId } from '../identity.ts'
import { gatherMillis } from './deadline.ts'
import { shutOut, takePayload, takeRecord } from './intake.ts'
import { admit, evict, passOver, reached, withMember } from './members.ts'
import { draw, extend } from './sample.ts'
import type { Member, RoundConfig, RoundEffect, RoundEvent, RoundState, Step } from './state.ts'
import { awaited, delivering, honestRound, inputsOf, isCollecting, neededInputs, neededOthers, presentCount, targetMet } from './view.ts'

/** Rounds behind the honest members at which a peer jumps: one round behind is ordinary lag. */
const JUMP_LAG = 2
/** Rounds running in which the target must be met: once may be luck. */
const TARGET_ROUNDS = 2
/** How often a round that lacks inputs asks again for payloads that could not be had. */
const RETRY_MILLIS = 5000

type Of<T extends RoundEvent['type']> = Extract<RoundEvent, { type: T }>

export function initialState(): RoundState {
  return {
    phase: 'waiting',
    round: 0,
    members: new Map(),
    shutOut: new Set(),
    attempted: [],
    reserve: [],
    sampling: false,
    f: 0,
    announcedAt: 0,
    deadline: 0,
    arrivals: [],
    targetRounds: 0,
  }
}

export function reduce(state: RoundState, event: RoundEvent, config: RoundConfig): Step {
  const inHand = 'round' in event && event.round === state.round
  switch (event.type) {
    case 'start':
      return start({ ...state, startedAt: event.now }, event, config)
    case 'peer':
      return proceed(admit(state, event.peer, event.now, config), config, event.now)
    case 'peer-gone':
      return proceed(withMember(state, event.peer, { present: false }), config, event.now)
    case 'evict':
      return { state: evict(state, event.peers), effects: [{ type: 'wake', at: 0 }] }
    case 'record': {
      const { isNews, ...taken } = takeRecord(state, event, config)
      return isNews ? { ...taken, ...proceed(taken.state, config, event.now) } : taken
    }
    case 'evidence':
      return shutOut(state, event.updates, config)
    case 'trained':
      return state.phase === 'training' && inHand ? trained(state, config, event.now) : same(state)
    case 'payload':
      return proceed(takePayload(state, event), config, event.now)
    case 'aggregated':
      return state.phase === 'aggregating' && inHand ? endRound(state, event, config) : same(state)
    case 'aggregate-failed':
      return state.phase === 'aggregating' && inHand ? regather(state, event, config) : same(state)
    case 'synced':
      return state.phase === 'aggregating' && inHand && state.syncFrom !== undefined ? synced(state, event, config) : same(state)
    case 'wake':
      return wake(state, event.now, config)
    case 'leap': {
      const later = passOver(state, event.millis)
      return isCollecting(later) ? collect(later, config, event.now, []) : same(later)
    }
  }
}

const same = (state: RoundState): Step => ({ state, effects: [] })

/** Adds effects that come before those of `step`. */
const after = (effects: readonly RoundEffect[], step: Step): Step => ({ ...step, effects: [...effects, ...step.effects] })

function start(state: RoundState, { now, resume }: Of<'start'>, config: RoundConfig): Step {
  if (resume === undefined) return proceed(state, config, now)
  const resumed = reached(state, resume.round, config)
  if (resume.stage === 'trained') return gather(draw(resumed, config, now), config, now, [{ type: 'announce', round: resume.round }])
  if (resume.stage === 'final') return { state: { ...resumed, phase: 'finished' }, effects: [{ type: 'publish', round: resume.round }] }
  return next(resumed, config, now)
}

/** Whatever the state allows now: pull, start, move on, or aggregate. Every event that may unblock something ends here. */
function proceed(state: RoundState, config: RoundConfig, now: number): Step {
  if (state.startedAt === undefined || state.phase === 'finished' || state.phase === 'aggregating') return same(state)
  const ahead = honestRound(state, config)
  if (mayMove(state, ahead, config, now)) return move(state, ahead, config, now)
  if (state.phase === 'waiting') return presentCount(state) >= config.minPeers ? begin(state, config, now) : same(state)
  const pulled = pullKnown(extend(state, config, now))
  if (pulled.state.phase === 'training') return pulled
  return after(pulled.effects, (pulled.state.phase === 'syncing' ? trySync : tryAggregate)(pulled.state, config, now))
}

/**
 * Whether to leave the round for `ahead`. A training run ends first, however slow: a peer whose every run were cut off would never be
 * heard; only the first run after a start may have begun unaware of where the others are. So are payloads on their way awaited:
 * on a slow link each move would cut them off anew.
 */
function mayMove(state: RoundState, ahead: number, config: RoundConfig, now: number): boolean {
  const lag = ahead - state.round
  if (lag <= 0) return false
  const far = lag > config.syncLag
  if (state.phase === 'waiting') return lag >= JUMP_LAG
  if (state.phase === 'training') return far && state.round === state.firstRound
  const coming = delivering(state).length > 0
  if (lag >= JUMP_LAG) return far || !coming || (state.phase === 'gathering' && now >= state.deadline)
  // The others have left this round and offer newer updates, or none: it would never end.
  return !coming && now >= state.deadline && inputsOf(state, config).length < neededOthers(state, config)
}

/** Goes on to the next round: draws whom to pull from, then trains. */
function begin(state: RoundState, config: RoundConfig, now: number): Step {
  const round = state.round + 1
  const { firstRound = round } = state
  const drawn = draw({ ...reached(state, round, config), phase: 'training', firstRound }, config, now)
  return after([{ type: 'train', round }], pullKnown(extend(drawn, config, now)))
}

/**
 * Moves to `ahead`. Near it, with the own model, which is announced there and aggregated with the others', so that what both sides
 * learned is kept; from further behind, or with nothing learned yet, the state of the others is looked at first.
 */
function move(state: RoundState, ahead: number, config: RoundConfig, now: number): Step {
  const from = state.syncFrom ?? state.round
  const effects: RoundEffect[] = state.phase === 'training' ? [{ type: 'cancel-training' }] : []
  const drawn = draw({ ...reached(state, ahead, config), targetRounds: 0 }, config, now)
  if (from === 0 || ahead - from > config.syncLag) return collect({ ...drawn, phase: 'syncing', syncFrom: from }, config, now, effects)
  return arrive(drawn, from, config, now)
}

/** Takes part in a round that was not trained in, with the own model as it is. */
const arrive = (state: RoundState, from: number, config: RoundConfig, now: number): Step =>
  gather(state, config, now, [
    { type: 'jumped', from, to: state.round },
    { type: 'announce', round: state.round },
  ])

function trained(state: RoundState, config: RoundConfig, now: number): Step {
  const ahead = honestRound(state, config)
  // Signed for the round that the others are in by now: for an earlier one it would be too old to count.
  if (ahead >= state.round + JUMP_LAG) return move({ ...state, phase: 'gathering' }, ahead, config, now)
  return gather(state, config, now, [{ type: 'announce', round: state.round }])
}

const gather = (state: RoundState, config: RoundConfig, now: number, effects: RoundEffect[]): Step =>
  collect({ ...state, phase: 'gathering' }, config, now, effects)

/** Begins to collect others' vectors: sets the deadline, pulls what is known already, and goes on at once where all is there. */
function collect(state: RoundState, config: RoundConfig, now: number, effects: RoundEffect[]): Step {
  const { arrivals, phase } = state
  const { gatherMinMillis: min, gatherMaxMillis: max } = config
  // A newcomer knows nothing of usual arrivals, and has heard in this time what the others hold.
  const deadline = now + (phase === 'syncing' ? Math.max(min, RETRY_MILLIS) : gatherMillis(arrivals, min, max))
  return after([...effects, { type: 'wake', at: deadline }], proceed({ ...state, announcedAt: now, deadline }, config, now))
}

/** Asks for every payload that this round may use and that has not been asked for. */
function pullKnown(state: RoundState): Step {
  const effects: RoundEffect[] = []
  let members: Map<PeerId, Member> | undefined
  for (const id of state.attempted) {
    const member = state.members.get(id)
    if (member?.latest === undefined || member.pull !== 'none' || state.shutOut.has(id)) continue
    if (member.ready !== undefined && member.ready.round >= member.latest.round) continue
    effects.push({ type: 'pull', update: member.latest })
    members ??= new Map(state.members)
    members.set(id, { ...member, pull: 'pulling' })
  }
  return members === undefined ? same(state) : { state: { ...state, members }, effects }
}

function tryAggregate(state: RoundState, config: RoundConfig, now: number): Step {
  const missing = awaited(state)
  if (now < state.deadline && missing.length > 0) return same(state)
  const inputs = inputsOf(state, config)
  // Too few: the update stays on offer and the round waits; the rule is never weakened.
  if (inputs.length + 1 < neededInputs(state, config)) return same(state)
  // One that died may never have been connected: whoever let a deadline pass without a word is waited for again once it is heard of.
  const silent = missing.filter((id) => (state.members.get(id)?.latest?.round ?? 0) < state.round)
  const next = silent.reduce((before, id) => withMember(before, id, { present: false }), state)
  return { state: { ...next, phase: 'aggregating' }, effects: [{ type: 'aggregate', round: state.round, f: state.f, inputs }] }
}

/** A state is taken over once, so all that is on its way is awaited, up to the deadline. */
function trySync(state: RoundState, config: RoundConfig, now: number): Step {
  const inputs = inputsOf(state, config)
  const coming = delivering(state).length > 0
  if (inputs.length >= neededOthers(state, config)) {
    if (coming && now < state.deadline) return same(state)
    const { round, f, syncFrom: from = 0 } = state
    return { state: { ...state, phase: 'aggregating' }, effects: [{ type: 'sync', round, from, f, inputs }] }
  }
  // Where n <= 3f + 1, those who withhold could keep it out for ever; with its own model the round's rule is as safe as ever.
  const bearable = inputs.length + 1 >= neededInputs(state, config)
  return bearable && !coming && now >= state.deadline ? tryAggregate(withoutSync(state), config, now) : same(state)
}

/** The state of the others was taken over, or the own one does better and is kept. */
function synced(state: RoundState, { adopted, now }: Of<'synced'>, config: RoundConfig): Step {
  const { syncFrom = 0 } = state
  return adopted ? next(withoutSync(state), config, now) : arrive(withoutSync(state), syncFrom, config, now)
}

function withoutSync({ syncFrom, ...rest }: RoundState): RoundState {
  return rest
}

function wake(state: RoundState, now: number, config: RoundConfig): Step {
  const step = proceed(state, config, now)
  const { deadline, announcedAt } = step.state
  if (!isCollecting(step.state)) return step
  // A clock that wakes early must not leave the round without another wake.
  if (now < deadline) return { ...step, effects: [...step.effects, { type: 'wake', at: deadline }] }
  // Whoever stays away this long is no member to count on: the round begins to collect anew, among those who are there.
  if (now - announcedAt > config.absentAfterMillis) return after(step.effects, collect(draw(step.state, config, now), config, now, []))
  let retrying = step.state
  for (const [id, member] of retrying.members) if (member.pull === 'failed') retrying = withMember(retrying, id, { pull: 'none' })
  const pulled = pullKnown(retrying)
  return { state: pulled.state, effects: [...step.effects, ...pulled.effects, { type: 'wake', at: now + RETRY_MILLIS }] }
}

/** Some payloads failed the gate after all: their authors' vectors are gone and the round goes on without them. */
function regather(state: RoundState, event: Of<'aggregate-failed'>, config: RoundConfig): Step {
  let next: RoundState = { ...state, phase: state.syncFrom === undefined ? 'gathering' : 'syncing' }
  for (const author of event.authors) next = withMember(next, author, { ready: undefined, pull: 'failed' })
  // The deadline's wake may have come while aggregating; without another nobody would ask for those payloads again.
  return after([{ type: 'wake', at: Math.max(next.deadline, event.now + RETRY_MILLIS) }], proceed(next, config, event.now))
}

function endRound(state: RoundState, event: Of<'aggregated'>, config: RoundConfig): Step {
  const { stop } = config
  const targetRounds = targetMet(state, config, event) ? state.targetRounds + 1 : 0
  const ended = { ...state, targetRounds }
  if (targetRounds >= TARGET_ROUNDS)
    return finish(ended, `the target accuracy of ${stop.targetAccuracy} was held for ${TARGET_ROUNDS} rounds`)
  if (stop.millis !== undefined && event.now - (state.startedAt ?? event.now) >= stop.millis) {
    return finish(ended, `the time limit of ${stop.millis / 1000} s was reached`)
  }
  return next(ended, config, event.now)
}

/** The next round, or the end where the round limit is reached. */
function next(state: RoundState, config: RoundConfig, now: number): Step {
  const { rounds } = config.stop
  if (rounds !== undefined && state.round >= rounds) return finish(state, `the round limit of ${rounds} was reached`)
  // The network may have gone on meanwhile: a jump is better than a round that nobody else is in.
  const ahead = honestRound(state, config)
  return ahead >= state.round + JUMP_LAG ? move(state, ahead, config, now) : begin(state, config, now)
}

function finish(state: RoundState, reason: string): Step {
  return { state: { ...state, phase: 'finished', finishReason: reason }, effects: [{ type: 'finish', round: state.round, reason }] }
}
