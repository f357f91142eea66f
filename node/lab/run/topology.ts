// Who pulls from whom: graphs by name, seeded where they are drawn, and from files of edges.
import { readFile } from 'node:fs/promises'
import { MurmurError } from '../../../protocol/errors.ts'
import { createPrng, type Prng } from '../../../protocol/prng.ts'

/** Of each peer its neighbours, ascending: symmetric, without the peer itself. */
export type Graph = readonly (readonly number[])[]

export type Topology =
  | { kind: 'full' | 'ring' | 'torus' | 'dumbbell' }
  | { kind: 'regular' | 'random'; degree: number }
  | { kind: 'file'; path: string }

/** Draws of a graph before it is given up. */
const MOST_DRAWS = 200
/** A torus has at least so many peers each way: with fewer, two of the four neighbours would be one. */
const LEAST_SIDE = 3

const bad = (message: string) => new MurmurError('bad-argument', message)

/** @throws bad-argument */
export function parseTopology(text: string): Topology {
  if (text === 'full' || text === 'ring' || text === 'torus' || text === 'dumbbell') return { kind: text }
  const [, kind, given] = /^(regular|random):(.*)$/.exec(text) ?? []
  if (kind !== undefined) {
    const degree = Number(given)
    const isWhole = Number.isInteger(degree)
    if (given !== '' && degree > 0 && (kind === 'random' ? Number.isFinite(degree) : isWhole))
      return { kind: kind as 'regular' | 'random', degree }
    throw bad(`--topology cannot be "${text}": give a number of neighbours, such as ${kind}:4.`)
  }
  if (/[./\\]/.test(text)) return { kind: 'file', path: text }
  throw bad(`--topology cannot be "${text}": give full, ring, torus, regular:K, random:K, dumbbell, or the path of a file of edges.`)
}

/** @throws bad-argument where so many peers make no such graph, data-invalid for a file that is none */
export async function buildGraph(topology: Topology, peers: number, seed: number | string): Promise<Graph> {
  const prng = createPrng(`${seed} topology`)
  switch (topology.kind) {
    case 'full':
      return graphOf(peers, pairsOf(0, peers))
    case 'ring':
      return graphOf(
        peers,
        Array.from({ length: peers }, (_, i) => [i, (i + 1) % peers]),
      )
    case 'torus':
      return torus(peers)
    case 'dumbbell':
      return dumbbell(peers)
    case 'regular':
      return regular(peers, topology.degree, prng)
    case 'random':
      return random(peers, topology.degree, prng)
    case 'file':
      return readEdges(topology.path, peers)
  }
}

type Edge = readonly [number, number]

function graphOf(peers: number, edges: Iterable<Edge | number[]>): Graph {
  const neighbours = Array.from({ length: peers }, () => new Set<number>())
  for (const [a, b] of edges as Iterable<Edge>) {
    if (a === b) continue
    neighbours[a]!.add(b)
    neighbours[b]!.add(a)
  }
  return neighbours.map((set) => [...set].sort((a, b) => a - b))
}

/** All pairs of those from `begin` up to `end`. */
function* pairsOf(begin: number, end: number): Generator<Edge> {
  for (let a = begin; a < end; a++) for (let b = a + 1; b < end; b++) yield [a, b]
}

/** As square as it gets. */
function torus(peers: number): Graph {
  let rows = Math.floor(Math.sqrt(peers))
  while (rows >= LEAST_SIDE && peers % rows !== 0) rows--
  const columns = peers / rows
  if (rows < LEAST_SIDE)
    throw bad(`${peers} peers make no torus: give a product of two numbers from ${LEAST_SIDE}, such as 9, 12, 16 or 100.`)
  const at = (row: number, column: number) => (row % rows) * columns + (column % columns)
  return graphOf(
    peers,
    Array.from({ length: peers }, (_, i) => [Math.floor(i / columns), i % columns] as const).flatMap(([row, column]) => [
      [at(row, column), at(row + 1, column)],
      [at(row, column), at(row, column + 1)],
    ]),
  )
}

/** Two cliques, the last of the first linked with the first of the second. */
function dumbbell(peers: number): Graph {
  const half = Math.ceil(peers / 2)
  return graphOf(peers, [...pairsOf(0, half), ...pairsOf(half, peers), [half - 1, half]])
}

/**
 * A random graph in which each has `degree` neighbours: pairs of a permutation of all ends; ends that would meet twice are put back and
 * paired anew (Steger and Wormald 1999). Drawn again until it is connected.
 */
function regular(peers: number, degree: number, prng: Prng): Graph {
  if (degree >= peers) throw bad(`--topology cannot be regular:${degree} with ${peers} peers: give at most ${peers - 1} neighbours.`)
  if ((peers * degree) % 2 !== 0) throw bad(`--topology cannot be regular:${degree} with ${peers} peers: one of the two must be even.`)
  if (degree === peers - 1) return graphOf(peers, pairsOf(0, peers))
  for (let draw = 0; draw < MOST_DRAWS; draw++) {
    const graph = pairUp(peers, degree, prng)
    if (graph !== undefined && isConnected(graph)) return graph
  }
  throw bad(`--topology cannot be regular:${degree} with ${peers} peers: no connected graph was found; give more neighbours.`)
}

function pairUp(peers: number, degree: number, prng: Prng): Graph | undefined {
  const sets = Array.from({ length: peers }, () => new Set<number>())
  let ends = Array.from({ length: peers * degree }, (_, i) => i % peers)
  while (ends.length > 0) {
    prng.shuffle(ends)
    const left: number[] = []
    for (let i = 0; i < ends.length; i += 2) {
      const [a, b] = [ends[i]!, ends[i + 1]!]
      if (a === b || sets[a]!.has(b)) left.push(a, b)
      else {
        sets[a]!.add(b)
        sets[b]!.add(a)
      }
    }
    // Nothing more can be paired, or it is not to be seen soon: another draw.
    if (left.length === ends.length) return undefined
    ends = left
  }
  return sets.map((set) => [...set].sort((a, b) => a - b))
}

/** Each pair is linked with the same probability (Gilbert 1959), such that `degree` is the mean; drawn again until it is connected. */
function random(peers: number, degree: number, prng: Prng): Graph {
  const probability = degree / (peers - 1)
  if (probability > 1) throw bad(`--topology cannot be random:${degree} with ${peers} peers: give at most ${peers - 1} neighbours.`)
  for (let draw = 0; draw < MOST_DRAWS; draw++) {
    const graph = graphOf(
      peers,
      [...pairsOf(0, peers)].filter(() => prng.next() < probability),
    )
    if (isConnected(graph)) return graph
  }
  throw bad(
    `--topology cannot be random:${degree} with ${peers} peers: such graphs fall apart; give at least random:${Math.ceil(Math.log(peers) + 1)}.`,
  )
}

/** @param among whom paths may lead through; default: all */
export function isConnected(graph: Graph, among: (peer: number) => boolean = () => true): boolean {
  const all = [...graph.keys()].filter(among)
  const reached = new Set(all.slice(0, 1))
  for (const peer of reached) for (const other of graph[peer]!) if (among(other)) reached.add(other)
  return reached.size === all.length
}

async function readEdges(path: string, peers: number): Promise<Graph> {
  const invalid = (why: string, cause?: unknown) => new MurmurError('data-invalid', `${path} ${why}.`, { cause })
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw invalid(
      cause.code === 'ENOENT' ? 'does not exist; give a file with an edge a line, such as "0 1"' : `cannot be read: ${cause.message}`,
      cause,
    )
  })
  const edges = text.split('\n').flatMap((line, i): Edge[] => {
    const content = line.replace(/#.*/, '').trim()
    if (content === '') return []
    const [, a, b] = /^(\d+)[\s,]+(\d+)$/.exec(content) ?? []
    const edge = [Number(a), Number(b)] as const
    if (a === undefined) throw invalid(`holds "${content.slice(0, 40)}" in line ${i + 1}; an edge is two peers, such as "0 1"`)
    if (edge.some((peer) => peer >= peers))
      throw invalid(`names peer ${Math.max(...edge)} in line ${i + 1}, but peers go from 0 to ${peers - 1}`)
    if (edge[0] === edge[1]) throw invalid(`links peer ${edge[0]} with itself in line ${i + 1}`)
    return [edge]
  })
  const graph = graphOf(peers, edges)
  const alone = graph.findIndex((neighbours) => neighbours.length === 0)
  if (alone >= 0) throw invalid(`has no edge for peer ${alone} of ${peers}; give each at least one, or fewer --peers`)
  return graph
}
