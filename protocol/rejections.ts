// Why a message, record or payload is not taken: a closed set, each with what gossip does and whose fault it is.
// This table is the only place where a reason becomes accept / ignore / reject.

type Fate = { verdict: 'ignore' | 'reject'; fault: 'forwarder' | 'author' | 'nobody'; why: string }

export const REJECTIONS = {
  malformed: { verdict: 'reject', fault: 'forwarder', why: 'not a message of this protocol' },
  'too-large': { verdict: 'reject', fault: 'forwarder', why: 'larger than the limit for its kind' },
  'bad-signature': { verdict: 'reject', fault: 'forwarder', why: 'unsigned, or the signature does not fit' },
  'bad-inline': { verdict: 'ignore', fault: 'forwarder', why: 'the payload beside the record does not have the signed hash' },
  'wrong-task': { verdict: 'reject', fault: 'forwarder', why: 'signed for another task' },
  'wrong-version': { verdict: 'ignore', fault: 'nobody', why: 'a newer version of the protocol' },
  own: { verdict: 'ignore', fault: 'nobody', why: 'the own record, come back' },
  duplicate: { verdict: 'ignore', fault: 'nobody', why: 'known already' },
  'stale-round': { verdict: 'ignore', fault: 'nobody', why: 'older than what the author announced since, or than the window' },
  'future-round': { verdict: 'ignore', fault: 'nobody', why: 'further ahead than any honest peer can be known to be' },
  'not-a-member': { verdict: 'ignore', fault: 'nobody', why: 'the author is not a member' },
  revoked: { verdict: 'ignore', fault: 'nobody', why: 'the membership was taken back' },
  expired: { verdict: 'ignore', fault: 'nobody', why: 'the membership or invite has ended' },
  'unknown-issuer': { verdict: 'ignore', fault: 'nobody', why: 'signed by someone not known to be allowed to' },
  'not-allowed': { verdict: 'reject', fault: 'author', why: 'the signer may never sign this' },
  'stale-sequence': { verdict: 'ignore', fault: 'nobody', why: 'older than what the author signed since' },
  flood: { verdict: 'ignore', fault: 'forwarder', why: 'more messages than an honest neighbour can have passed on' },
  'too-often': { verdict: 'ignore', fault: 'author', why: 'more records than one author may sign in that time' },
  full: { verdict: 'ignore', fault: 'nobody', why: 'no more of this kind are kept' },
  'shut-out': { verdict: 'ignore', fault: 'author', why: 'the author signed two different updates for one round' },
  'bad-ref': { verdict: 'reject', fault: 'author', why: "the announced length or codec is not the task's" },
  'bad-evidence': { verdict: 'reject', fault: 'forwarder', why: 'the evidence does not prove what it says' },
  'wrong-length': { verdict: 'reject', fault: 'author', why: "the payload does not decode to the task's number of parameters" },
  'not-finite': { verdict: 'reject', fault: 'author', why: 'the payload holds NaN or an infinity' },
  'out-of-bounds': { verdict: 'reject', fault: 'author', why: "the payload holds a value above the task's maxAbs, or a variance below 0" },
  'bad-chunk': { verdict: 'reject', fault: 'forwarder', why: 'a chunk does not have the signed hash' },
  unavailable: { verdict: 'ignore', fault: 'nobody', why: 'no peer delivered the payload in time' },
} as const satisfies Record<string, Fate>

export type RejectionCode = keyof typeof REJECTIONS
