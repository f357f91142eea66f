// Every rule against every value that was computed with other projects' code or from the papers' formulas.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { buckets } from '../../protocol/aggregation/bucketing.ts'
import { clip } from '../../protocol/aggregation/clip.ts'
import { parseLabRule } from '../../protocol/aggregation/index.ts'
import type { Matrix } from '../../protocol/aggregation/matrix.ts'
import { krumScores } from '../../protocol/aggregation/multi-krum.ts'
import { nnm } from '../../protocol/aggregation/nnm.ts'
import { plainMatrix } from '../../protocol/aggregation/plain.ts'
import { arc } from '../../protocol/aggregation/reference/arc.ts'
import { caf } from '../../protocol/aggregation/reference/caf.ts'
import type { Mix, PreAggregation, Round } from '../../protocol/aggregation/stages.ts'
import { far } from '../helpers/far.ts'

interface Entry {
  rule: string
  params: Record<string, number | string>
  src: string
  out: number[]
  tol?: number
  init_vectors?: number[][]
  permutation?: number[]
  selected?: number[]
  scores?: number[]
  accepted?: number[]
}

interface Case {
  name: string
  n: number
  f: number
  X: number[][]
  aggregators: Entry[]
  pipelines: Entry[]
  decentralised: Entry[]
  preaggregators: (Omit<Entry, 'out'> & { out: number[][] })[]
}

const { cases } = JSON.parse(readFileSync(new URL('./aggregation-vectors.json', import.meta.url), 'utf8')) as { cases: Case[] }

/** Their name, and how it is written here. */
const RULES: Record<string, string | ((params: Entry['params'], test: Case) => string)> = {
  Average: 'mean',
  Median: 'median',
  EpfmlCM: 'median',
  TrMean: 'trimmed-mean',
  EpfmlTM: 'trimmed-mean',
  GeometricMedian: ({ nu, T }) => `geometric-median(nu=${nu}, T=${T})`,
  EpfmlRFA: ({ nu, T }) => `geometric-median(nu=${nu}, T=${T})`,
  // Converged, and without smoothing.
  GeometricMedianExact: 'geometric-median(nu=1e-9, T=100)',
  Krum: 'krum(neighbours=n-f-1)',
  KrumBlanchard: 'krum',
  // Their distances are squared twice, which selects the same vector here.
  EpfmlKrum: 'krum',
  MultiKrum: 'multi-krum(neighbours=n-f-1)',
  MultiKrumBlanchard: ({ m }) => `multi-krum(m=${m})`,
  MoNNA: 'nna',
  SelfCenteredClipping: ({ tau }, test) => `clipped-gossip(tau=${typeof tau === 'number' ? tau : secondFarthest(test)})`,
  EpfmlCenteredClipping: ({ tau }) => `clipped-gossip(tau=${tau})`,
  CSplus_RG: 'cs+',
  CShe_RG: 'clipped-gossip(practical)',
  CenteredClipping: ({ tau, L, m }) =>
    `centered-clipping(tau=${tau}, L=${m === 'zeros' || m === 'X[0]' ? L : 2}, start=${m === 'zeros' ? 'origin' : 'own'})`,
  MDA: 'mda',
  Meamed: 'meamed',
  BulyanPaper: 'bulyan',
  IOS: 'ios',
  BALANCE: ({ gamma, kappa, alpha, lambda_t, min_neighbors }) =>
    `balance(gamma=${gamma}, kappa=${kappa}, alpha=${alpha}, progress=${lambda_t}${min_neighbors === undefined ? '' : ', otherwise=nearest'})`,
  'NNM>Average': 'nnm | mean',
  'NNM>TrMean': 'nnm | trimmed-mean',
  'NNM>Median': 'nnm | median',
  'NNM>GeometricMedian': 'nnm | geometric-median(nu=0.1, T=3)',
  'NNM>Krum': 'nnm | krum(neighbours=n-f-1)',
  'NNM>MultiKrum': 'nnm | multi-krum(neighbours=n-f-1)',
  'NNM>MoNNA': 'nnm | nna',
  'Clipping(2)>NNM>TrMean': 'clip(2) | nnm | trimmed-mean',
  'Clipping(2)>NNM>Median': 'clip(2) | nnm | median',
  'Clipping(2)>NNM>GeometricMedian': 'clip(2) | nnm | geometric-median(nu=0.1, T=3)',
  'ARC>NNM>TrMean': 'arc | nnm | trimmed-mean',
  'ARC>NNM>Median': 'arc | nnm | median',
  'ARC>NNM>GeometricMedian': 'arc | nnm | geometric-median(nu=0.1, T=3)',
}

/** Not rules of ours, and why. */
const OTHERS: Record<string, string> = {
  SMEA: 'searches all subsets by an eigenvalue: mda does so by distance',
  SMEAExact: 'as SMEA',
  GTS_RG: 'trims where CS+ clips, and is the weaker of the two in its paper',
  UBARToy: 'needs losses on local data',
  Bulyan: 'deviates from the paper: fewer selections, each a mean, scores never updated',
}

function secondFarthest({ X }: Case): number {
  const squared = plainMatrix(X.map((row) => Float64Array.from(row))).distancesFrom(0, X[0]!.length)
  return Math.sqrt(squared.toSorted().at(-2)!)
}

const wide = (X: number[][]) => X.map((row) => Float64Array.from(row))

t.test('agrees with the published implementations to 1e-9 in float64 and to 1e-6 in float32', (t) => {
  const seen = new Set<string>()
  for (const test of cases) {
    for (const entry of [...test.aggregators, ...test.pipelines, ...test.decentralised]) {
      if (entry.rule in OTHERS || entry.rule === 'CAF') continue
      seen.add(entry.rule)
      const written = RULES[entry.rule]
      if (written === undefined) {
        t.fail(`${entry.rule} has no rule of ours`)
        continue
      }
      const text = typeof written === 'string' ? written : written(entry.params, test)
      const own = Number(entry.params.own ?? entry.params.idx ?? 0)
      const f = Number(entry.params.f ?? entry.params.b ?? test.f)
      const rule = parseLabRule(text)
      const label = `${test.name} ${entry.rule} ${entry.src} as ${text}`
      const { output } = rule.run({ vectors: wide(test.X), own, f })
      t.ok(output instanceof Float64Array)
      t.ok(far(output, entry.out) <= (entry.tol ?? 1e-9), label)
      const narrow = rule.run({ vectors: test.X.map((row) => Float32Array.from(row)), own, f })
      t.ok(narrow.output instanceof Float32Array)
      t.ok(far(narrow.output, entry.out) <= 1e-6, `${label} in float32`)
    }
  }
  t.same([...seen].sort(), Object.keys(RULES).sort(), 'each of them was met')
  t.end()
})

t.test('caf agrees with the published implementation for its draws', (t) => {
  for (const { name, f, X, aggregators } of cases) {
    const entry = aggregators.find(({ rule }) => rule === 'CAF')!
    const draws = entry.init_vectors!.map((draw) => Float64Array.from(draw))
    const rows = plainMatrix(wide(X))
    const output = new Float64Array(rows.length)
    caf({ power: 1, start: () => draws.shift()! }).reduce(rows, round(rows, f), output)
    t.ok(far(output, entry.out) <= 1e-9, name)
    t.equal(draws.length, 0, 'after as many steps')
  }
  t.end()
})

t.test('pre-aggregations agree with the published implementations row by row', (t) => {
  for (const { name, f, X, preaggregators } of cases) {
    for (const { rule, params, permutation, out } of preaggregators) {
      const rows = plainMatrix(wide(X))
      const stages: Record<string, PreAggregation | Mix> = {
        NNM: nnm,
        ARC: arc,
        Clipping: clip(Number(params.c)),
        Bucketing: permutation ? buckets(permutation, Number(params.s)) : nnm,
      }
      const stage = stages[rule]!
      const mix = 'mix' in stage ? stage.mix(rows, round(rows, f)) : stage
      const mixed = rows.mixed(mix.weights).rows!()
      t.equal(mixed.length, out.length)
      for (const [i, row] of mixed.entries()) t.ok(far(row, out[i]!) <= 1e-9, `${name} ${rule} row ${i}`)
    }
  }
  t.end()
})

t.test('scores and selections are the published ones, not just the result', (t) => {
  for (const { n, f, X, aggregators, decentralised } of cases) {
    const rows = plainMatrix(wide(X))
    const krum = aggregators.find(({ rule }) => rule === 'KrumBlanchard')!
    t.ok(far(krumScores(rows.distances(rows.length), n, n - f - 2), krum.scores!) <= 1e-9)
    const paper = aggregators.find(({ rule }) => rule === 'BulyanPaper')!
    const { inputs } = parseLabRule('bulyan').run({ vectors: wide(X), own: 0, f: Number(paper.params.f) })
    const kept = inputs.flatMap(({ kept }, i) => (kept ? [i] : []))
    t.ok(
      kept.every((i) => paper.selected!.includes(i)),
      'bulyan',
    )
    for (const entry of decentralised.filter(({ accepted }) => accepted !== undefined)) {
      const written = RULES.BALANCE as (params: Entry['params'], test: Case) => string
      const audit = parseLabRule(written(entry.params, { n, f, X } as Case)).run({ vectors: wide(X), own: 0, f })
      t.same(
        audit.inputs.flatMap(({ kept }, i) => (kept && i > 0 ? [i] : [])),
        entry.accepted,
      )
    }
  }
  t.end()
})

function round(rows: Matrix, f: number): Round {
  return { f, own: 0, shared: rows.length, weights: new Float64Array(rows.count).fill(1 / rows.count), seed: 0 }
}
