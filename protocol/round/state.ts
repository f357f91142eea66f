// What a peer knows of a round, as plain data: the state, the events that change it, and the effects it asks for.
import type { PeerId } from '../identity.ts'
import type { RejectionCode } from '../rejections.ts'
import type { Update } from '../update.ts'

export interface RoundConfig {
  self: PeerId
  /** Members, self included, with whom round 1 starts. */
  minPeers: number
  /** tau: rounds for which an author's record counts. */
  staleness: number
  gatherMinMillis: number
  gatherMaxMillis: number
  absentAfterMillis: number
  /** Attackers to assume among n members. */
  byzantine: (members: number) => number
  /** Attackers to withstand among `sampled` vectors out of `members`. */
  faults: (members: number, sampled: number) => number
  /** Fewest vectors, own included, that the rule takes. */
  minInputs: (f: number) => number
  /** The receiver's own secret order in which it samples members in a round. */
  sampleOrder: (members: PeerId[], round: number) => PeerId[]
  /** Members in a sample; up to this count all are pulled from, by who does so already up to `fullViewMost`. */
  fullView: number
  fullViewMost: number
  /** Rounds behind the honest members from which on their state is taken over instead of averaged with the own one. */
  syncLag: number
  /** Furthest an announcement may lie beyond what an honest member is known to have reached. */
  futureRounds: number
  maxMembers: number
  stop: { rounds?: number | undefined; targetAccuracy?: number | undefined; millis?: number | undefined }
}

/** A member other than oneself. */
export interface Member {
  /** Clock time of its last sign of life. */
  seen: number
  /** False once its connection is lost, until it is heard of again. */
  present: boolean
  /** Newest record of a round we have reached. */
  latest?: Update
  /** Newest record whose payload is held and has passed the gate. */
  ready?: Update
  /** One record of a round ahead of ours: counted, not pulled. */
  future?: Update
  /** What became of the payload of `latest`. */
  pull: 'none' | 'pulling' | 'failed'
}

/** syncing: far behind, gathering what others have instead of going on from the own model. */
export type RoundPhase = 'waiting' | 'training' | 'gathering' | 'syncing' | 'aggregating' | 'finished'

export interface RoundState {
  phase: RoundPhase
  /** The round in hand; 0 before the first. */
  round: number
  members: ReadonlyMap<PeerId, Member>
  /** Authors proven to have signed two updates for one round. */
  shutOut: ReadonlySet<PeerId>
  /** Members pulled from in this round, drawn before any announcement of it was read. */
  attempted: readonly PeerId[]
  /** The rest of the members in the order drawn: who stands in for attempted ones that fail. */
  reserve: readonly PeerId[]
  /** Whether the attempted were drawn from more members than all are pulled from. */
  sampling: boolean
  /** Attackers to withstand among the attempted. */
  f: number
  /** Clock times of the own announcement (or jump) and of when gathering ends. */
  announcedAt: number
  deadline: number
  /** How long after the own announcement others' payloads were there, newest last, in milliseconds. */
  arrivals: readonly number[]
  /** Rounds running at whose end the target was met. */
  targetRounds: number
  /** Undefined until the `start` event: before it, members and records are only taken note of. */
  startedAt?: number
  /** The first round trained since then: it may have begun before others could tell how far they are. */
  firstRound?: number
  /** While a state is taken over: the round in which the own model was left behind. */
  syncFrom?: number
  finishReason?: string
}

export type RoundEvent =
  /** `resume`: where a former process of this peer stood. */
  | { type: 'start'; now: number; resume?: { round: number; stage: 'trained' | 'aggregated' | 'final' } }
  | { type: 'peer'; peer: PeerId; now: number }
  | { type: 'peer-gone'; peer: PeerId; now: number }
  /** They are no members any more. */
  | { type: 'evict'; peers: readonly PeerId[] }
  | { type: 'record'; update: Update; now: number }
  | { type: 'evidence'; updates: readonly [Update, Update] }
  /** The training run of `round` is done; nothing is signed yet. */
  | { type: 'trained'; round: number; now: number }
  | { type: 'payload'; update: Update; ok: boolean; now: number }
  | { type: 'aggregated'; round: number; accuracy?: number; now: number }
  /** `authors`: whose payloads did not pass after all; the round goes on without them. */
  | { type: 'aggregate-failed'; round: number; authors: readonly PeerId[]; now: number }
  /** The state of `round` was compared with the own one. */
  | { type: 'synced'; round: number; adopted: boolean; now: number }
  | { type: 'wake'; now: number }
  /** This process stood still for `millis` of the clock's time. */
  | { type: 'leap'; millis: number; now: number }

export type RoundEffect =
  | { type: 'train'; round: number }
  | { type: 'cancel-training' }
  /** Sign the own model as the update of `round`, where that was not done before a restart, store it, then tell it. */
  | { type: 'announce'; round: number }
  /** Tell the last record that a former process signed again, byte for byte. */
  | { type: 'publish'; round: number }
  | { type: 'pull'; update: Update }
  | { type: 'aggregate'; round: number; f: number; inputs: readonly Update[] }
  /** Compare the median of `inputs` with the own model; an event `synced` says which one it goes on with. */
  | { type: 'sync'; round: number; from: number; f: number; inputs: readonly Update[] }
  /** A time that has passed: at once. */
  | { type: 'wake'; at: number }
  | { type: 'jumped'; from: number; to: number }
  | { type: 'equivocation'; first: Update; second: Update }
  | { type: 'finish'; round: number; reason: string }

export interface Step {
  state: RoundState
  effects: RoundEffect[]
  /** Why a record was not taken. */
  rejected?: RejectionCode
}
