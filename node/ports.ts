// The ports of a peer: what the round loop needs from the world, and nothing about how it is done.
// libp2p and onnxruntime implement them for real peers; the lab's bus and virtual clock implement them for many in one process.

import type { InputAudit } from '../protocol/aggregation/types.ts'
import type { Decoded } from '../protocol/codec/index.ts'
import type { PeerId } from '../protocol/identity.ts'
import type { PayloadRef } from '../protocol/payload.ts'
import type { PeerEvent } from './events.ts'

export interface Clock {
  /** Monotonic milliseconds. */
  now(): number
  /** Milliseconds since 1970, for people to read; never for deadlines. */
  wall(): number
  /** Calls `fn` once after `millis`; returns a function that cancels it. Does not keep the process alive. */
  after(millis: number, fn: () => void): () => void
}

export interface Random {
  bytes(count: number): Uint8Array
}

/** The author's key: signs with Ed25519. */
export interface Signer {
  readonly peerId: PeerId
  /** libp2p protobuf-encoded public key (36 bytes for Ed25519). */
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
}

/** What a validator tells gossip to do with a message: forward, drop, or drop and hold its forwarder to account. */
export type Verdict = 'accept' | 'ignore' | 'reject'

export interface NetworkEvents {
  /** A connected peer joined our topic: it speaks our protocol and works on our task. */
  onPeer?: (peer: PeerId) => void
  onPeerGone?: (peer: PeerId) => void
}

/** Bytes by direction. */
export interface Flow {
  received: number
  sent: number
}

export interface RequestOptions {
  signal?: AbortSignal
  /** Milliseconds; default LIMITS.requestMillis. */
  timeout?: number
  /** The response may lie in memory that is used again: whoever asks for this is done with it before the event loop's next turn. */
  lend?: boolean
}

/** A response in parts, and what is told once they are sent or dropped: their memory may be used again from then on. */
export interface Lent {
  parts: readonly Uint8Array[]
  done(): void
}

/** Who may use a peer. One check ahead of everything that others can reach. */
export interface Gate {
  isMember(peer: PeerId): boolean
  /** Protocols that are also for those who are not members, within the strangers' limits. */
  open: ReadonlySet<string>
}

/** Publish, subscribe, request, serve. Implemented by the libp2p host and by the lab's bus; one conformance suite for both. */
export interface Network {
  readonly self: PeerId
  /** Complete multiaddrs another machine can dial, most reachable first; empty where there is none. */
  addresses(): string[]
  /** Connected peers subscribed to the topic. */
  peers(): PeerId[]
  /** All connected peers, whatever they subscribe to: whom a newcomer can ask before it knows the topic. */
  connections(): PeerId[]
  /**
   * Joins the task's topic. `validate` sees every message once, before it is forwarded; messages above LIMITS.gossipBytes never reach it.
   * `messageId` is what duplicates are told by.
   */
  subscribe(
    topic: string,
    handlers: {
      validate(message: Uint8Array, from: PeerId): Promise<Verdict> | Verdict
      messageId(message: Uint8Array): Uint8Array
    } & NetworkEvents,
  ): Promise<void>
  /** Sends to the topic's subscribers; returns how many direct recipients there were (0 is not an error). @throws limit-exceeded */
  publish(topic: string, message: Uint8Array): Promise<number>
  /** One request, one response, both bounded by LIMITS. @throws peer-unreachable, peer-refused, limit-exceeded, cancelled */
  request(peer: PeerId, protocol: string, body: Uint8Array, options?: RequestOptions): Promise<Uint8Array>
  /**
   * Answers requests; a MurmurError thrown by the handler reaches the asker as `peer-refused` with its message. A response in parts is
   * sent as one, without being put together before.
   */
  serve(protocol: string, handler: (body: Uint8Array, from: PeerId) => Promise<Uint8Array | Lent>): void
  /**
   * Keeps trying to be connected to a multiaddr, with jittered backoff; resolves with the peer's id when first connected. `onRetry` tells of
   * each failure, of one that does not let this peer in once. Who is not `isWanted` is left alone until it is.
   */
  connect(
    address: string,
    options?: {
      signal?: AbortSignal
      onRetry?: (attempt: number, waitMillis: number, why: string) => void
      isWanted?: (peer: PeerId) => boolean
    },
  ): Promise<PeerId>
  /** Sets the gate, or has it asked again after a change: who is no member then loses its connection. Until then everyone may. */
  admit(gate: Gate): void
  /** Addresses that a member has signed: it is dialled there where it is not connected. Empty: it is not sought any more. */
  learn(peer: PeerId, addresses: readonly string[]): void
  /** Counts something against a connected peer: gossip with it ends once enough has come together. Never for being an outlier. */
  blame(peer: PeerId): void
  /** How many processes with this peer's key are connected: more than one is a twin. 0 where it does not answer. */
  processes(peer: PeerId): Promise<number>
  /** Bytes on the wire since start, all protocols, as counted below encryption's framing. */
  traffic(): Flow
  /** The same inside the streams, by what they are for; where the network has streams. */
  protocols?(): Record<string, Flow>
  start(): Promise<void>
  stop(): Promise<void>
}

export interface TrainRequest {
  /** The whole flat vector (shared || stats || personal); not modified. */
  params: Float32Array
  /** Optimizer state as the last call returned it; empty for a fresh start. */
  optimizer: Float32Array
  /** Most steps to run; at least one is. */
  steps: number
  /** Stop after this many milliseconds even if steps remain. */
  millis?: number
  /** Seeds the order of batches: same seed, params and data give the same bits at one thread. */
  seed: number
  /** Optimizer steps made by this peer before, for schedules and dropout. */
  stepsBefore: number
  /**
   * How samples fall into batches: shuffled or not, in whole epochs or running on over their ends, from which step of the order on, and
   * how many samples from the beginning of the training data take part, or which ones by their rows (default: all).
   */
  order?: { shuffle?: boolean; epochs?: boolean; first?: number; samples?: number; rows?: Int32Array }
  signal?: AbortSignal
}

export interface TrainResult {
  params: Float32Array
  optimizer: Float32Array
  steps: number
  samples: number
  /** Mean training loss over the steps. */
  loss: number
  /** Loss at each step, length `steps`. */
  losses: Float32Array
  millis: number
  /** One sentence where a loss or parameter became non-finite: training ended there, and all else is as it was before that step. */
  diverged?: string
}

export interface Evaluation {
  samples: number
  /** Mean loss. */
  loss: number
  /** Classes: share of labels whose class scores highest; yes or no: of right answers. 0..1. */
  accuracy?: number
  /** Two classes: area under the ROC curve, 0..1; missing where only one class is there. */
  auc?: number
  /** Numbers: mean absolute error. */
  mae?: number
  /** Tokens: exp(loss). */
  perplexity?: number
}

export interface EvaluateRequest {
  params: Float32Array
  split: 'train' | 'validation' | 'test'
  /** Evaluate on at most this many samples, taken at a regular stride. */
  samples?: number
  /** Of these rows alone. */
  rows?: Int32Array
  signal?: AbortSignal
}

/** A vector as it is announced. */
export interface Encoded {
  payload: Uint8Array
  root: Uint8Array
  /** What others make of it. */
  decoded: Decoded
}

/** Encodes the exchanged part of a vector as the task's payload; the vector is not modified. */
export type Encode = (vector: Float32Array) => Promise<Encoded>

/** Runs the task's model on this peer's data, off the main thread. */
export interface Trainer {
  /** Floats in the flat vector. */
  readonly size: number
  readonly trainSamples: number
  readonly validationSamples: number
  /** @throws cancelled, worker-failed; the caller's params are untouched */
  train(request: TrainRequest): Promise<TrainResult>
  evaluate(request: EvaluateRequest): Promise<Evaluation>
  /** Finishes the run in hand and ends the worker; never aborts the process. */
  stop(): Promise<void>
}

/** One vector of a round, still encoded: its bytes, or the file that holds them and nothing else. */
export interface EncodedInput {
  author: PeerId
  payload: Uint8Array | { file: string }
}

export interface AggregateRequest {
  rule: string
  f: number
  codec: string
  /** Floats of the exchanged prefix, and of its shared part (distances see only these). */
  length: number
  shared: number
  maxAbs: number
  /** The own decoded vector, `length` floats; missing where it takes no part. */
  own?: Float32Array
  inputs: readonly EncodedInput[]
  /** Seeds what a rule draws; none must foretell it. Default: a new one each time. */
  seed?: string
  /** Measure what these authors moved (test tasks): the rule is run again without them. */
  probe?: { authors: readonly PeerId[]; start: Float32Array }
}

export interface AggregateOutcome {
  output: Float32Array
  own?: InputAudit
  /** One for each input, in order; `rejected` names the gate's code where it did not reach the rule. */
  inputs: ({ author: PeerId } & ({ audit: InputAudit } | { rejected: 'wrong-length' | 'not-finite' | 'out-of-bounds' }))[]
  /** |aggregate with - without the probed authors| / |mean of the others - start of the round|. */
  influence?: number
  millis: number
}

/** Decodes, gates and aggregates one round's payloads, off the main thread. */
export interface Aggregator {
  /** Checks one payload as it arrives; undefined where it is good. */
  check(
    payload: Uint8Array,
    request: Pick<AggregateRequest, 'codec' | 'length' | 'maxAbs'>,
  ): Promise<'wrong-length' | 'not-finite' | 'out-of-bounds' | undefined>
  /** @throws too-few-inputs where the gate left fewer than the rule needs. */
  aggregate(request: AggregateRequest): Promise<AggregateOutcome>
  stop(): Promise<void>
}

export interface Checkpoint {
  round: number
  /** trained: `params` is the vector announced for `round`; aggregated: `params` is the result of `round`. */
  stage: 'trained' | 'aggregated'
  /** Optimizer steps made so far. */
  steps: number
  params: Float32Array
  optimizer: Float32Array
}

/** Everything of a peer that survives `kill -9`. Writes are durable (fsynced) when their promise resolves. */
export interface Store {
  /** Encoded payloads by the hex of their root hash. */
  putObject(root: string, bytes: Uint8Array): Promise<void>
  getObject(root: string): Promise<Uint8Array | undefined>
  /** The file of an object that `getObject` would give, where the store has it in one. */
  fileOf?(root: string): Promise<string | undefined>
  /** Removes objects that are not in `keep`, and what was left of pulling others. */
  pruneObjects(keep: ReadonlySet<string>): Promise<void>
  /**
   * A payload to be put together chunk by chunk, with what a former process had of it. One at a time for a root. It may be put
   * together in `memory`, of the same length, which is the caller's again after `finish` or `leave`.
   */
  openPart(root: string, length: number, memory?: Uint8Array): Promise<PartialObject>
  /** The newest own signed record: what is republished, byte for byte, after a crash. */
  saveAnnouncement(envelope: Uint8Array): Promise<void>
  loadAnnouncement(): Promise<Uint8Array | undefined>
  saveCheckpoint(checkpoint: Checkpoint): Promise<void>
  loadCheckpoint(): Promise<Checkpoint | undefined>
  /** Others' newest signed records and evidence, so that a restart knows what it knew: encoded Signed messages. */
  saveRecord(key: string, signed: Uint8Array): void
  loadRecords(): Uint8Array[]
  /** What must never be forgotten, each a file for its owner's eyes only: members and revocations, and the invites this peer redeems. */
  saveDocument(name: 'members' | 'invites', bytes: Uint8Array): Promise<void>
  loadDocument(name: 'members' | 'invites'): Promise<Uint8Array | undefined>
  /** Appends to the audit trail; never throws for a full disk, but says so once through `onWarning`. */
  append(event: PeerEvent, wallMillis: number): void
  close(): Promise<void>
}

/** A payload that is being put together; what is told to it survives a restart. */
export interface PartialObject {
  readonly payload: Uint8Array
  /** The hash list, where it is known. */
  list?: Uint8Array
  /** Chunks that are there, each verified against the list. */
  readonly chunks: Set<number>
  /** Notes a chunk that was written into `payload`. Not durable, nor need it be: chunks are verified again when they are read. */
  save(index: number): void
  /** All chunks are there: it becomes an object, durably. @throws disk-failed */
  finish(): Promise<void>
  /** Not now: what is there stays for another time. */
  leave(): Promise<void>
}

export interface PullOptions {
  signal?: AbortSignal
  /** Bytes that are there, and who sent the newest of them. */
  onProgress?: (bytes: number, source: PeerId) => void
}

export interface PayloadExchange {
  /**
   * Holds the payload of `ref` in the store, pulling it where it is not there yet: from one of those among `sources` who are known to
   * hold it (the first one, its author, and who said so), then from the others in turn.
   */
  pull(ref: PayloadRef, sources: () => PeerId[], options?: PullOptions): Promise<Uint8Array>
  /** As `pull`, for who needs the bytes for a moment: once what `use` returns has settled, their memory is used again. */
  lend<T>(ref: PayloadRef, sources: () => PeerId[], use: (payload: Uint8Array) => T | Promise<T>, options?: PullOptions): Promise<T>
}
