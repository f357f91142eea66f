// How many members may be malicious, whom a peer pulls from, and how many of those it must withstand.
import type { PeerId } from './identity.ts'
import type { Hash } from './payload.ts'

/** A share of 1, in basis points. */
const WHOLE = 10_000
/** delta: probability, over a whole task and all honest peers, that some sample holds more attackers than assumed. */
const FAILURE_PROBABILITY = 0.01

/**
 * b, the members assumed malicious among `members` (self included): the share rounded down, but at least 1.
 * Rounding 5 % of 10 down to nobody would leave the defence off unseen; only a share of 0 does that.
 */
export function byzantineBound(members: number, shareBasisPoints: number): number {
  return shareBasisPoints === 0 ? 0 : Math.max(1, Math.floor((members * shareBasisPoints) / WHOLE))
}

/**
 * f, the attackers to withstand among `sampled` others, drawn at random from `members` (self included, `byzantine` of them malicious):
 * the smallest bound that holds for every honest peer in every one of `rounds` rounds with probability 1 - delta. All others sampled: b.
 * The result may exceed what a rule bears with so small a sample; the rule then refuses to run.
 * Source: (n - b) T P[Hypergeom(n - 1, b, s) > bhat] <= delta (reading of the sampling bound of epidemic robust learning).
 */
export function faultsAmong(members: number, byzantine: number, sampled: number, rounds: number): number {
  const others = members - 1
  if (byzantine === 0 || sampled >= others) return byzantine
  const most = Math.min(byzantine, sampled)
  const weights = hypergeometric(others, Math.min(byzantine, others), sampled)
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const trials = Math.max(1, members - byzantine) * rounds
  // From the far end of the tail, where the terms are small, towards the bound.
  let tail = 0
  for (let bound = most; bound > 0; bound--) {
    tail += (weights[bound] ?? 0) / total
    if (trials * tail > FAILURE_PROBABILITY) return bound
  }
  return 0
}

/** Weights of 0..min(marked, drawn) marked ones among `drawn` of `population`, up to a factor; the likeliest weighs 1, so none overflows. */
function hypergeometric(population: number, marked: number, drawn: number): number[] {
  const least = Math.max(0, drawn - (population - marked))
  const most = Math.min(marked, drawn)
  const mode = Math.min(most, Math.max(least, Math.floor(((drawn + 1) * (marked + 1)) / (population + 2))))
  // Ratio of the weight of k + 1 to that of k.
  const ratio = (k: number) => ((marked - k) * (drawn - k)) / ((k + 1) * (population - marked - drawn + k + 1))
  const weights = new Array<number>(most + 1).fill(0)
  weights[mode] = 1
  for (let k = mode; k < most; k++) weights[k + 1] = weights[k]! * ratio(k)
  for (let k = mode; k > least; k--) weights[k - 1] = weights[k]! / ratio(k - 1)
  return weights
}

/**
 * A permutation of `members` that nobody without `secret` can foresee, fresh each round: sorted by hash(secret || round || id).
 * The order in which they are given does not matter. `round` is written as 8 bytes, big-endian.
 */
export function sampleOrder(members: readonly PeerId[], round: number, secret: Uint8Array, hash: Hash): PeerId[] {
  const encoder = new TextEncoder()
  const keyed = members.map((id) => {
    const text = encoder.encode(id)
    const input = new Uint8Array(secret.length + 8 + text.length)
    input.set(secret)
    new DataView(input.buffer).setBigUint64(secret.length, BigInt(round))
    input.set(text, secret.length + 8)
    return { id, key: hash(input) }
  })
  return keyed.sort((a, b) => compareBytes(a.key, b.key)).map(({ id }) => id)
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return 0
}

export interface Promised {
  /** Members that may be malicious. */
  b: number
  /** n > 2b: whatever they send, they cannot steer the result. */
  safe: boolean
  /** n > 3b: nor can they stop the others by staying silent. */
  live: boolean
  /** The same in words. */
  sentence: string
}

/** What a network of `members` peers (self included) and a byzantine share in basis points may promise. */
export function promise(members: number, shareBasisPoints: number): Promised {
  const b = byzantineBound(members, shareBasisPoints)
  const safe = members > 2 * b
  const live = members > 3 * b
  const peers = members === 1 ? '1 peer' : `${members} peers`
  const given = `With ${peers} and a byzantine share of ${shareBasisPoints / 100} %`
  return { b, safe, live, sentence: `${given}, ${consequence()}` }

  function consequence(): string {
    if (b === 0) return 'every peer is trusted: a single malicious one can steer the model.'
    const bound = `up to ${b} may be malicious: `
    if (!safe) {
      // Fewest peers for which the same share is safe; b grows more slowly than half of n, so there is one.
      let needed = members
      while (needed <= 2 * byzantineBound(needed, shareBasisPoints)) needed++
      return `${bound}not safe (${members} is not more than ${2 * b}), so no round ends before ${needed} peers take part; with share 0 fewer can train, undefended.`
    }
    if (live)
      return `${bound}safe (${members} > ${2 * b}), and live even if ${b === 1 ? 'it stays' : 'they stay'} silent (${members} > ${3 * b}).`
    return `${bound}safe (${members} > ${2 * b}), but ${b === 1 ? 'it' : 'they'} can hold up rounds by staying silent (${members} is not more than ${3 * b}).`
  }
}
