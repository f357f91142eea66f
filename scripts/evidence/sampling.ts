// How large a sample of the members has to be, by the same function that a peer asks: the table of docs/robustness.md.
import { byzantineBound, faultsAmong } from '../../protocol/sampling.ts'

/** Rounds of a task over which it has to hold. */
const ROUNDS = 200
const NETWORKS = [20, 50, 100, 200, 500, 1000]
/** Basis points of a whole. */
const SHARES = [1000, 2000]

/** The least sample that bears its own attackers, 2 f below the vectors, and the least that leaves a third of them beyond that. */
export function samplesOf(members: number, byzantine: number): { least: number; ample: number } {
  const first = (enough: (vectors: number, f: number) => boolean) => {
    for (let sampled = 1; sampled < members - 1; sampled++) {
      if (enough(sampled + 1, faultsAmong(members, byzantine, sampled, ROUNDS))) return sampled
    }
    return members - 1
  }
  return { least: first((vectors, f) => vectors > 2 * f), ample: first((vectors, f) => vectors - 2 * f >= vectors / 3) }
}

export function samplingTable(): string {
  const lines = NETWORKS.flatMap((members) =>
    SHARES.map((share) => {
      const byzantine = byzantineBound(members, share)
      const { least, ample } = samplesOf(members, byzantine)
      const cell = (sampled: number) => `${sampled} | ${faultsAmong(members, byzantine, sampled, ROUNDS)}`
      return `| ${members} | ${byzantine} | ${cell(least)} | ${cell(ample)} |`
    }),
  )
  return ['| members | attackers | least sample | f | ample sample | f |', '|--:|--:|--:|--:|--:|--:|', ...lines].join('\n')
}
