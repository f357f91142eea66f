// What an evaluation tells, from what the evaluation graph yields sample by sample.
import type { TargetOptions } from '../../models/index.ts'
import type { Evaluation } from '../ports.ts'

/** Sums over samples so far. */
export interface Tally {
  samples: number
  losses: number
  weights: number
  correct: number
  errors: number
  counted: number
  /** Score and label of each sample where the task is one of yes or no. */
  scores: { score: number; positive: boolean }[]
}

export const createTally = (): Tally => ({ samples: 0, losses: 0, weights: 0, correct: 0, errors: 0, counted: 0, scores: [] })

export function summarize(tally: Tally, { kind }: TargetOptions): Evaluation {
  const loss = tally.losses / tally.weights
  const auc = kind === 'class' || kind === 'binary' ? areaUnderCurve(tally.scores) : undefined
  return {
    samples: tally.samples,
    loss,
    ...(kind !== 'number' && { accuracy: tally.correct / tally.counted }),
    ...(auc !== undefined && { auc }),
    ...(kind === 'number' && { mae: tally.errors / tally.counted }),
    ...(kind === 'tokens' && { perplexity: Math.exp(loss) }),
  }
}

/**
 * The area under the ROC curve: how often a positive sample scores higher than a negative one, a tie counting half (Mann and Whitney
 * 1947, by rank sums). Undefined where one kind of sample is missing.
 */
export function areaUnderCurve(scores: readonly { score: number; positive: boolean }[]): number | undefined {
  const sorted = [...scores].sort((a, b) => a.score - b.score)
  const positives = sorted.filter(({ positive }) => positive).length
  const negatives = sorted.length - positives
  if (positives === 0 || negatives === 0) return undefined
  let rankSum = 0
  for (let begin = 0; begin < sorted.length; ) {
    let end = begin
    while (end < sorted.length && sorted[end]!.score === sorted[begin]!.score) end++
    // Ranks begin + 1 to end, all of them their mean.
    for (let i = begin; i < end; i++) if (sorted[i]!.positive) rankSum += (begin + 1 + end) / 2
    begin = end
  }
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives)
}
