// Graphs of the published experiments, as rows of mixing weights: `weights[i]` holds what node i gives each node, itself included.

export interface Graph {
  /** Honest nodes. */
  size: number
  /** For each node the honest ones that it hears, not itself, ascending. */
  neighbours: number[][]
}

/** Two cliques of `clique` nodes, and for each node of the first `links` nodes of the second, next to one another (Gaucher et al. 2025). */
export function twoWorlds(clique: number, links: number): Graph {
  const edges = cliques(clique)
  for (let i = 0; i < clique; i++) for (let k = 0; k < links; k++) edges.push([i, clique + ((i + k) % clique)])
  return graphOf(2 * clique, edges)
}

/** Two cliques with one edge between them (He et al. 2022). */
export const dumbbell = (clique: number): Graph => graphOf(2 * clique, [...cliques(clique), [0, 2 * clique - 1]])

export const ring = (size: number): Graph =>
  graphOf(
    size,
    Array.from({ length: size }, (_, i) => [i, (i + 1) % size]),
  )

function cliques(clique: number): [number, number][] {
  const edges: [number, number][] = []
  for (let i = 0; i < clique; i++) for (let j = i + 1; j < clique; j++) edges.push([i, j], [clique + i, clique + j])
  return edges
}

function graphOf(size: number, edges: [number, number][]): Graph {
  const neighbours = Array.from({ length: size }, (): number[] => [])
  for (const [a, b] of edges) {
    neighbours[a]!.push(b)
    neighbours[b]!.push(a)
  }
  return { size, neighbours: neighbours.map((all) => all.sort((a, b) => a - b)) }
}

/** Row-major weights of the honest among each other, each edge alike, for attacks that look at the whole graph. */
export function evenEdges({ size, neighbours }: Graph, weight: number): Float64Array {
  const weights = new Float64Array(size * size)
  for (const [i, others] of neighbours.entries()) for (const j of others) weights[i * size + j] = weight
  return weights
}
