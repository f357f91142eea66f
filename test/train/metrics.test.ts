// What an evaluation tells: the metrics that fit its kind of labels, and the area under the ROC curve by its definition.
import fc from 'fast-check'
import t from 'tap'
import type { TargetOptions } from '../../models/index.ts'
import { areaUnderCurve, createTally, summarize } from '../../node/train/metrics.ts'

t.test('the area under the curve is the share of pairs that are in order, ties counting half', async () => {
  // Few different scores, so that ties are common.
  const sample = fc.record({ score: fc.integer({ min: -3, max: 3 }), positive: fc.boolean() })
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 30 }), (scores) => {
      const of = (kind: boolean) => scores.filter(({ positive }) => positive === kind).map(({ score }) => score)
      const pairs = of(true).flatMap((high) => of(false).map((low) => (high > low ? 1 : high === low ? 0.5 : 0)))
      const area = areaUnderCurve(scores)
      if (pairs.length === 0) return area === undefined
      return Math.abs(area! - pairs.reduce<number>((sum, pair) => sum + pair, 0) / pairs.length) < 1e-12
    }),
  )
})

t.test('each kind of labels has the metrics that fit it', async (t) => {
  const tally = { ...createTally(), samples: 4, losses: 6, weights: 12, correct: 9, errors: 3, counted: 12 }
  const scores = [
    { score: 2, positive: true },
    { score: 1, positive: false },
  ]
  const target = (kind: TargetOptions['kind']): TargetOptions => ({ kind, size: 2, shape: [] })
  t.same(summarize({ ...tally, scores }, target('class')), { samples: 4, loss: 0.5, accuracy: 0.75, auc: 1 })
  t.same(summarize({ ...tally, scores }, target('binary')), { samples: 4, loss: 0.5, accuracy: 0.75, auc: 1 })
  t.same(summarize(tally, target('class')), { samples: 4, loss: 0.5, accuracy: 0.75 })
  t.same(summarize(tally, target('number')), { samples: 4, loss: 0.5, mae: 0.25 })
  t.same(summarize(tally, target('tokens')), { samples: 4, loss: 0.5, accuracy: 0.75, perplexity: Math.exp(0.5) })
})
