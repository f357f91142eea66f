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
  /** Bytes of a request on a request/response protocol. */
  requestBytes: 4 * KiB,
  /** Bytes of a response: one chunk and framing, or a page of records. */
  responseBytes: 512 * KiB,
  /** Signed records in one answer of the records protocol. */
  recordsPerPage: 128,
  /** Members whose state is kept; beyond it the longest silent one is forgotten. */
  members: 1024,
  /** Rounds an announcement may lie ahead of the furthest round that an honest member is known to have reached. */
  futureRounds: 64,
  /** Milliseconds a single request may take before the next source is asked. */
  requestMillis: 10_000,
  /** Peers up to this count are all pulled from; above it the receiver draws a sample of this size. */
  fullView: 30,
} as const
