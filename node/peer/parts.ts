// What a peer is made of: the ports, and the task it works on.
import type { Proof, Verify } from '../../protocol/envelope.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { Hash } from '../../protocol/payload.ts'
import type { RoundConfig } from '../../protocol/round/state.ts'
import type { Task } from '../../protocol/task.ts'
import type { Aggregator, Clock, Encode, Network, PayloadExchange, Random, Signer, Store, Trainer } from '../ports.ts'
import type { MemberBook } from './member-book.ts'

/** Turns the honest update of a round into what a misbehaving peer announces. */
export type Forge = (honest: { start: Float32Array; trained: Float32Array; round: number }) => Float32Array

export interface PeerParts {
  task: Task
  /** The task's initial weights: the whole flat vector. */
  initial: Float32Array
  network: Network
  /** Who may take part. */
  members: MemberBook
  exchange: PayloadExchange
  trainer: Trainer
  aggregator: Aggregator
  /** Where it is done in another thread: encoding takes a large model long enough to make this one late. */
  encode?: Encode
  store: Store
  clock: Clock
  random: Random
  signer: Signer
  verify: Verify
  /** The same in other threads, for what comes by gossip: a check takes longer than all else that is done with a record. Never rejects. */
  verifyElsewhere?: (...proof: Proof) => Promise<boolean>
  hash: Hash
  /** The line that others join with, with the addresses of now: told again when those change. */
  joinLine?: () => string
  /** Memory and event-loop delay of this process, for those who watch. */
  health?: () => { rssBytes: number; eventLoopP99Millis: number }
  /** Where the data is larger than memory: brings a round's part of it, and returns how many samples it has. */
  loadData?: (round: number) => Promise<number>
  /** Runs once the peer has finished: exports the model; returns its path. */
  onFinish?: (params: Float32Array) => Promise<string>
  /** False: members that see another process with this identity are not believed. */
  twinCheck?: boolean
  /** Reads the test set, once, when the peer has finished. */
  testAtEnd?: boolean
  /** The lab's: what of the rounds is set otherwise than the task and the limits say. */
  rounds?: Partial<RoundConfig>
  /** Test tasks only: announce this instead of the honest update. */
  forge?: Forge
  /** Test tasks only: measure what these peers moved. */
  probe?: readonly PeerId[]
}
