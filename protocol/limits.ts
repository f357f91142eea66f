// Every bound on what a peer accepts from others: a named constant with its unit and its reason.

const KiB = 1024
const MiB = 1024 * KiB

export const LIMITS = {
  /** Bytes of a payload chunk: small enough to re-request, large enough that a hash list stays short. */
  chunkBytes: 256 * KiB,
  /** Bytes of the largest payload that rides beside its record in gossip; above it, pulling is cheaper (libp2p-measured). */
  inlineBytes: 8 * KiB,
  /** Chunk requests in flight to one peer: four chunks keep a link busy without starving the connection monitor's ping. */
  chunksInFlight: 4,
  /** Bytes of a gossip message: an inlined payload, two signed records (evidence) and framing fit. */
  gossipBytes: 16 * KiB,
  /** Bytes of a signed record envelope, announcement or certificate. */
  recordBytes: 2 * KiB,
  /** Bytes of a signed task manifest: a layout of `layoutTensors` names is the largest part. */
  manifestBytes: 512 * KiB,
  /** Tensors in a layout: GPT-sized models have a few hundred. */
  layoutTensors: 4096,
  /** Characters in a tensor's, a network's or a rule's name. */
  nameLength: 256,
  /** Dimensions of a tensor. */
  tensorRank: 8,
  /** Bytes of a forward ONNX graph without weights. */
  modelBytes: 16 * MiB,
  /** Bytes of any payload: 256 Mi float32 parameters. */
  payloadBytes: 1024 * MiB,
  /** Bytes of a request on a request/response protocol: 8 for each of the signed records that a member holds. */
  requestBytes: 32 * KiB,
  /** Bytes of a request by someone who is not a member: an invite and what proves that it is held. */
  strangerRequestBytes: 1 * KiB,
  /** Bytes of a response: the signed task is the longest. */
  responseBytes: 640 * KiB,
  /** Signed records in one answer of the state exchange, and pages asked for in a row. */
  recordsPerPage: 256,
  recordPages: 32,
  /** Bytes of the digest by which signed records are compared. */
  digestBytes: 8,
  /** Requests of one peer that wait for their answer at a time: four pulls of four chunks. */
  requestsInFlight: 16,
  /** Bytes a second, and at once, that one peer may have sent to it: thirty updates of 100 MB in half a minute. */
  servedBytesPerSecond: 128 * MiB,
  servedBytesBurst: 1024 * MiB,
  /** Bytes a second below which a source is given up: a phone on a bad link still has it. */
  slowestBytesPerSecond: 32 * KiB,
  /** Gossip messages a second, and at once, of one neighbour that are looked at though no member is shown to have signed them. */
  messagesPerSecond: 200,
  messagesBurst: 4096,
  /** Signed records of one author, a second and at once, that are taken in from gossip and passed on: many quick rounds after a break. */
  recordsPerSecond: 32,
  recordsBurst: 1024,
  /** Connections at once, and the milliseconds each may last, of those who are not members; and their requests a second from one address. */
  strangers: 16,
  strangerMillis: 10_000,
  strangerRequestsPerSecond: 1,
  /** Revocations kept, for the task's life. */
  revocations: 4096,
  /** Invites that one issuer keeps count of, and the most uses of one. */
  invites: 1024,
  inviteUses: 1024,
  /** Addresses in a member's signed list, and bytes of each: a relayed one with a DNS name fits. */
  addresses: 8,
  addressBytes: 384,
  /** Members whose state is kept; beyond it the longest silent one is forgotten. */
  members: 1024,
  /** Rounds an announcement may lie ahead of the furthest round that an honest member is known to have reached. */
  futureRounds: 64,
  /** Milliseconds a single request may take before the next source is asked. */
  requestMillis: 10_000,
  /** Peers up to this count are all pulled from; above it the receiver draws a sample of this size. */
  fullView: 30,
  /** A peer that samples already goes back to pulling from all below `fullView`, one that does not begins above this. */
  fullViewMost: 36,
  /** Rounds behind the honest members from which on a peer takes over their state instead of averaging its own with theirs. */
  syncLag: 10,
  /** Milliseconds that the clock may leap between two looks before the state exchange is run again: a suspended machine. */
  clockLeapMillis: 5000,
} as const
