// The graphs of the lab: what their names promise, whatever the seed.
import fc from 'fast-check'
import t from 'tap'
import { buildGraph, type Graph, isConnected, parseTopology } from '../../node/lab/run/topology.ts'

const build = (text: string, peers: number, seed = 1) => buildGraph(parseTopology(text), peers, seed)

const isSymmetric = (graph: Graph) => graph.every((others, i) => others.every((other) => other !== i && graph[other]!.includes(i)))
const isSorted = (graph: Graph) => graph.every((others) => others.every((other, at) => at === 0 || others[at - 1]! < other))
const degrees = (graph: Graph) => new Set(graph.map((others) => others.length))

t.test('every graph is symmetric, without loops, and connected', async (t) => {
  const texts = ['full', 'ring', 'dumbbell', 'regular:4', 'random:6']
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...texts), fc.integer({ min: 7, max: 60 }), fc.nat(), async (text, peers, seed) => {
      const graph = await build(text, peers, seed)
      return graph.length === peers && isSymmetric(graph) && isSorted(graph) && isConnected(graph)
    }),
  )
  t.pass()
})

t.test('each peer has the neighbours that the name tells', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 5, max: 60 }), fc.integer({ min: 3, max: 8 }), fc.nat(), async (half, degree, seed) => {
      const peers = 2 * half
      const graph = await build(`regular:${degree}`, peers, seed)
      return degrees(graph).size === 1 && degrees(graph).has(degree)
    }),
  )
  t.strictSame(degrees(await build('full', 9)), new Set([8]))
  t.strictSame(degrees(await build('ring', 9)), new Set([2]))
  for (const peers of [9, 12, 15, 16, 100]) t.strictSame(degrees(await build('torus', peers)), new Set([4]), `torus of ${peers}`)
  const graph = await build('random:10', 100)
  const mean = graph.reduce((sum, others) => sum + others.length, 0) / 100
  t.ok(Math.abs(mean - 10) < 2, `a mean of ${mean} neighbours`)
})

t.test('a dumbbell is two cliques with one bridge', async (t) => {
  const graph = await build('dumbbell', 8)
  const bridges = graph.flatMap((others, i) => others.filter((other) => i < 4 && other >= 4).map((other) => [i, other]))
  t.strictSame(bridges, [[3, 4]])
  t.strictSame(graph[0], [1, 2, 3])
  t.strictSame(graph[7], [4, 5, 6])
})

t.test('the same seed draws the same graph, another one another', async (t) => {
  for (const text of ['regular:4', 'random:6']) {
    t.strictSame(await build(text, 30, 7), await build(text, 30, 7))
    t.notSame(await build(text, 30, 7), await build(text, 30, 8))
  }
})

t.test('a file lists edges; what is none in it is told with its line', async (t) => {
  const folder = t.testdir({
    good: '# ring\n0 1\n1,2\n\n2 0 # closed\n',
    word: '0 1\n1 b\n',
    far: '0 1\n1 5\n',
    loop: '0 0\n',
    alone: '0 1\n',
  })
  t.strictSame(await build(`${folder}/good`, 3), [
    [1, 2],
    [0, 2],
    [0, 1],
  ])
  await t.rejects(build(`${folder}/word`, 3), { code: 'data-invalid', message: /holds "1 b" in line 2; an edge is two peers/ })
  await t.rejects(build(`${folder}/far`, 3), { code: 'data-invalid', message: /names peer 5 in line 2, but peers go from 0 to 2/ })
  await t.rejects(build(`${folder}/loop`, 3), { code: 'data-invalid', message: /links peer 0 with itself in line 1/ })
  await t.rejects(build(`${folder}/alone`, 3), { code: 'data-invalid', message: /has no edge for peer 2 of 3/ })
  await t.rejects(build(`${folder}/none`, 3), { code: 'data-invalid', message: /does not exist; give a file with an edge a line/ })
})

t.test('a graph that so many peers do not make is refused', async (t) => {
  await t.rejects(build('torus', 7), { code: 'bad-argument', message: /7 peers make no torus: give a product of two numbers from 3/ })
  await t.rejects(build('regular:9', 9), { code: 'bad-argument', message: /at most 8 neighbours/ })
  await t.rejects(build('regular:3', 9), { code: 'bad-argument', message: /one of the two must be even/ })
  await t.rejects(build('random:1', 50), { code: 'bad-argument', message: /such graphs fall apart; give at least random:5/ })
})
