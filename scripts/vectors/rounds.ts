// Vectors of sampling, of the attackers a rule must withstand, of deadlines, and of aggregation.
import { parseRule } from '../../protocol/aggregation/index.ts'
import { gatherMillis } from '../../protocol/round/deadline.ts'
import { byzantineBound, faultsAmong, sampleOrder } from '../../protocol/sampling.ts'
import { hexOf, NAMES, sha256, signerOf, utf8, type VectorFile } from './kit.ts'

export function sampling(): VectorFile {
  const members = NAMES.map((name) => signerOf(name).peerId)
  const secret = sha256(utf8('a secret of the receiver'))
  return {
    about:
      "Sampling order: members, the receiver's secret and a round in; members by rising SHA-256(secret || round as 8 bytes, big-endian || peer id in UTF-8) out.",
    cases: [1, 2, 4_294_967_295].map((round) => ({
      why: `round ${round}`,
      members,
      secret: hexOf(secret),
      round,
      order: sampleOrder(members, round, secret, sha256),
    })),
  }
}

export function faults(): VectorFile {
  const row = (why: string, members: number, share: number, sampled: number, rounds: number) => {
    const b = byzantineBound(members, share)
    return { why, members, share, sampled, rounds, b, f: faultsAmong(members, b, sampled, rounds) }
  }
  return {
    about:
      'b, the attackers assumed among `members` (self included) at a share in basis points, and f, those to withstand among `sampled` others over `rounds` rounds.',
    cases: [
      row('a share of 0 trusts everyone', 10, 0, 9, 100),
      row('a share above 0 assumes at least one', 4, 2000, 3, 100),
      row('rounded down', 14, 2000, 13, 100),
      row('all others pulled from: f is b', 30, 2000, 29, 100),
      row('a sample of 30 among 40', 40, 2000, 30, 200),
      row('a sample of 30 among 100', 100, 2000, 30, 200),
      row('the same over more rounds', 100, 2000, 30, 10_000),
      row('a larger sample', 100, 2000, 34, 200),
      row('a tenth malicious', 1000, 1000, 30, 200),
      row('the largest network and share', 1024, 4999, 30, 10_000),
    ],
  }
}

export const deadlines = (): VectorFile => ({
  about:
    'How long a round gathers, in milliseconds, from recent arrivals and the bounds of the task: median + 4 median absolute deviations, within the bounds.',
  cases: (
    [
      ['nothing is known: the upper bound', [], 2000, 60_000],
      ['one arrival', [3000], 2000, 60_000],
      ['an even number: the mean of the middle two', [1000, 2000, 3000, 5000], 2000, 60_000],
      ['one straggler counts for little', [1000, 1100, 1200, 1300, 59_000], 100, 60_000],
      ['never below the lower bound', [1, 2, 3], 2000, 60_000],
      ['never above the upper bound', [50_000, 100, 90_000], 2000, 60_000],
    ] as [string, number[], number, number][]
  ).map(([why, arrivals, min, max]) => ({ why, arrivals, min, max, millis: gatherMillis(arrivals, min, max) })),
})

/** Bucketing is not among them: its draw is the receiver's own. */
const RULES = [
  ...['mean', 'trimmed-mean', 'median', 'nnm | mean', 'nnm | trimmed-mean', 'nnm | median'],
  ...['geometric-median', 'geometric-median(T=3, nu=1)', 'krum', 'krum(neighbours=n-f-1)', 'multi-krum', 'multi-krum(m=2)', 'nna', 'cs+'],
  ...['clipped-gossip', 'clipped-gossip(tau=0.5)', 'clip(2) | mean', 'clip(2) | nnm | trimmed-mean', 'nnm | cs+', 'nnm | nna'],
]

export function aggregation(): VectorFile {
  const vectors = [
    [1, 2, 3, -1],
    [1.5, 2.5, 2.5, 0],
    [0.5, 1, 3.5, 0.25],
    [2, 2, 3, -0.5],
    [100, -100, 0, 1000],
  ]
  return {
    about:
      "Rules in float64: vectors (the first one is the own), f and the number of leading coordinates that distances see in; the result and each input's weight out, to 1e-12. More, computed with other projects' code: test/protocol/aggregation-vectors.json.",
    cases: RULES.flatMap((rule) =>
      [4, 2].map((shared) => {
        const { output, inputs } = parseRule(rule).run({ vectors: vectors.map((row) => Float64Array.from(row)), own: 0, f: 1, shared })
        return {
          why: `${rule}, distances over ${shared}`,
          rule,
          f: 1,
          shared,
          vectors,
          minInputs: parseRule(rule).minInputs(1),
          output: [...output],
          weights: inputs.map(({ weight }) => weight),
        }
      }),
    ),
  }
}
