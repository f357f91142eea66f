// Decentralised training that aggregates after every step of every peer, as He et al. 2022 do it: from the product's compiled training and
// its rules over the kernels.
import { parseLabAttack } from '../../node/lab/attacks/index.ts'
import { parseLabRule } from '../../protocol/aggregation/index.ts'
import { createKernels, floatsSource, solo } from '../../protocol/aggregation/kernels/index.ts'
import { createPrng } from '../../protocol/prng.ts'
import type { Graph } from './graphs.ts'
import type { State, Training } from './training.ts'

export interface GossipOptions {
  graph: Graph
  rule: string
  f: number
  /** What a neighbour weighs, an attacker too; the own model has the rest. Absent: all alike, and rules that weigh nothing. */
  weight?: number
  /** Give the rule every model so many times, as bucketing with replacement does. */
  copies?: number
  /** So many attackers beside each peer, and what they send it, from the models of its honest neighbourhood. */
  attackers?: { each: number; attack: string }
  /** Rows of the training data of each peer; a round takes the next batch of them, over and over. */
  parts: readonly Int32Array[]
  batchSize: number
  rounds: number
  learningRate: number
  seed: number
}

const kernels = createKernels(solo())

/** @returns the mean of the honest models; undefined where one left the numbers */
export async function gossip(training: Training, options: GossipOptions): Promise<Float32Array | undefined> {
  const { graph, parts, batchSize, rounds, learningRate, f, copies = 1, weight, attackers, seed } = options
  const rule = parseLabRule(options.rule)
  const attack = attackers && parseLabAttack(attackers.attack)
  let states: State[] = parts.map(() => training.start())
  for (let round = 0; round < rounds; round++) {
    const trained: State[] = []
    for (const [i, part] of parts.entries()) {
      const at = (round * batchSize) % (part.length - (part.length % batchSize))
      trained.push(await training.steps(states[i]!, part.subarray(at, at + batchSize), learningRate))
    }
    const mixed: State[] = []
    for (const [i, { optimizer, params }] of trained.entries()) {
      const near = [i, ...graph.neighbours[i]!]
      const honest = near.map((j) => trained[j]!.params)
      const count = honest.length + (attackers?.each ?? 0)
      const weights =
        weight === undefined ? undefined : Float64Array.from({ length: count }, (_, k) => (k > 0 ? weight : 1 - (count - 1) * weight))
      const forged = attack?.forge(honest, attackers!.each, { own: 0, seed, ...(weights && { weights }) }) ?? []
      const rows = [...honest, ...forged.map((vector) => Float32Array.from(vector))]
      const matrix = kernels.open(Array.from({ length: copies }, () => rows.map(floatsSource)).flat(), params.length)
      // A row that is not finite.
      if (matrix.gate().some(Boolean)) return undefined
      const output = new Float32Array(params.length)
      rule.apply(matrix, { own: 0, f, seed: `${seed} ${round} ${i}`, ...(weights && { weights }) }, output)
      mixed.push({ optimizer, params: output })
    }
    states = mixed
  }
  return meanOf(states.map(({ params }) => params))
}

export function meanOf(vectors: readonly Float32Array[]): Float32Array {
  const sum = new Float32Array(vectors[0]!.length)
  for (const vector of vectors) for (let c = 0; c < sum.length; c++) sum[c]! += vector[c]! / vectors.length
  return sum
}

/** `count` rows for each of `parts` peers, those of peer i drawn from `pools[i % pools.length]`, none twice. */
export function drawParts(pools: readonly Int32Array[], peers: number, count: number, seed: number): Int32Array[] {
  const shuffled = pools.map((pool, i) => createPrng(`${seed} pool ${i}`).shuffle(pool.slice()))
  return Array.from({ length: peers }, (_, i) => {
    const pool = Math.floor((i * pools.length) / peers)
    const place = i - Math.ceil((pool * peers) / pools.length)
    return shuffled[pool]!.slice(place * count, (place + 1) * count)
  })
}
