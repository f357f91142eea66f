// Averaging without training, as Gaucher, Dieuleveut and Hendrikx measure it (ICML 2025): honest nodes of two worlds hold random vectors
// and seek their mean, while attackers beside each of them tell it what carries it farthest.
import { parseLabAttack } from '../../node/lab/attacks/index.ts'
import { parseLabRule } from '../../protocol/aggregation/index.ts'
import { createPrng } from '../../protocol/prng.ts'
import { evenEdges, type Graph, twoWorlds } from './graphs.ts'

export const CLIQUE = 13
export const LINKS = 8
const DIMENSIONS = 5
const DEGREE = CLIQUE - 1 + LINKS
/**
 * The largest eigenvalue of the honest graph's Laplacian, every edge counted once: the degree, plus 1 for the cliques, plus the second
 * singular value of the links between them.
 */
export const LARGEST_EIGENVALUE = DEGREE + 1 + Math.sin((LINKS * Math.PI) / CLIQUE) / Math.sin(Math.PI / CLIQUE)
/** Evaluations of their line search. */
const EVALUATIONS = 16
const CONTRACTION = 0.8
/** Times the first error: from there on it only grows. */
const LOST = 1e4

export const CONSENSUS_RULES = ['cs+', 'clipped-gossip', 'ios', 'nna'] as const
export type ConsensusRule = (typeof CONSENSUS_RULES)[number]
export type ConsensusAttack = 'spectral' | 'dissensus'

export interface ConsensusOptions {
  rule: ConsensusRule
  attack: ConsensusAttack
  /** Attackers beside each honest node. */
  b: number
  steps: number
  seed: number
}

/** @returns the summed squared distance from the mean at the start, at the end over at the beginning */
export function consensusError({ rule, attack, b, steps, seed }: ConsensusOptions): number {
  const graph = twoWorlds(CLIQUE, LINKS)
  const prng = createPrng(seed)
  let nodes: Float64Array[] = Array.from({ length: graph.size }, () =>
    Float64Array.from({ length: DIMENSIONS }, () => prng.normal() / Math.sqrt(DIMENSIONS)),
  )
  const target = nodes[0]!.map((_, c) => nodes.reduce((sum, node) => sum + node[c]! / graph.size, 0))
  const error = () => nodes.reduce((sum, node) => sum + node.reduce((all, x, c) => all + (x - target[c]!) ** 2, 0), 0)
  const first = error()
  const step = stepOf(rule, b)
  const direction = directionOf(attack, graph, b)
  for (let i = 0; i < steps && error() < LOST * first; i++) {
    nodes = nodes.map((own, i) => {
      const near = [i, ...graph.neighbours[i]!].map((j) => nodes[j]!)
      const towards = direction(nodes, i)
      const after = (factor: number) => step(near, new Array<Float64Array>(b).fill(own.map((x, c) => x + factor * towards[c]!)))
      // Theirs means to go far from where the honest alone would lead, but forgets to subtract that: it goes far from the origin.
      return after(strongest((factor) => after(factor).reduce((sum, x) => sum + x ** 2, 0)))
    })
  }
  return error() / first
}

/** A node's next vector, from its own, first among `near`, and what attackers sent. */
function stepOf(text: ConsensusRule, b: number): (near: Float64Array[], forged: Float64Array[]) => Float64Array {
  const rule = parseLabRule(text)
  const aggregate = (near: Float64Array[], forged: Float64Array[]) =>
    rule.run({ vectors: [...near, ...forged], own: 0, f: b }).output as Float64Array
  if (text === 'ios') return aggregate
  // The others are steps of one over that eigenvalue along the summed differences; the rules of ours are means of them: of all, and of
  // the nearest for nna, which they have as GTS.
  const count = 1 + DEGREE + (text === 'nna' ? 0 : b)
  const share = count / LARGEST_EIGENVALUE
  return (near, forged) => {
    const mean = aggregate(near, forged)
    return near[0]!.map((x, c) => x + share * (mean[c]! - x))
  }
}

/** Where attackers draw node i, whose length their search multiplies. */
function directionOf(name: ConsensusAttack, graph: Graph, b: number): (nodes: Float64Array[], i: number) => Float64Array {
  const weight = 1 / (1 + DEGREE + b)
  const edges = evenEdges(graph, weight)
  const weights = new Float64Array(1 + DEGREE + b).fill(weight)
  // Dissensus shares the push among the attackers' weights; their search begins with it whole.
  const attack = parseLabAttack(name === 'spectral' ? 'spectral(factor=1)' : `dissensus(epsilon=${b * weight})`)
  return (nodes, i) => {
    const seen =
      name === 'spectral'
        ? { honest: nodes, own: i, more: { graph: edges } }
        : { honest: [i, ...graph.neighbours[i]!].map((j) => nodes[j]!), own: 0, more: { weights } }
    const [forged] = attack.forge(seen.honest, b, { own: seen.own, ...seen.more })
    return forged!.map((x, c) => x - nodes[i]![c]!)
  }
}

/** Their search for the factor of most harm: steps that double while they help, then shorter ones about the last. */
function strongest(harm: (factor: number) => number): number {
  let [best, most, delta, tried] = [0, harm(0), 1, 0]
  let expands = true
  for (let left = EVALUATIONS - 1; left > 0; left--) {
    if (expands) tried = best + delta
    else if (tried < best) tried += delta
    else {
      let below = tried - delta
      while (below < 0) below = (below + tried) / 2
      tried = below
    }
    const reached = harm(tried)
    const isBetter = reached > most
    if (isBetter) [best, most] = [tried, reached]
    expands &&= isBetter
    delta *= expands ? 2 : CONTRACTION
  }
  return best
}
