// Short versions of the published results: what each is about shows within seconds.
import t from 'tap'
import { type ConsensusAttack, type ConsensusRule, consensusError } from '../../scripts/evidence/consensus.ts'
import { drawParts, type GossipOptions, gossip } from '../../scripts/evidence/gossip.ts'
import { dumbbell, ring } from '../../scripts/evidence/graphs.ts'
import { modelOf } from '../../scripts/evidence/models.ts'
import { createTraining, loadMnist, NORMALIZED, type Training } from '../../scripts/evidence/training.ts'

t.test('two worlds: cs+ bears nine attackers beside each node, with which nna is carried away', async (t) => {
  const error = (rule: ConsensusRule, attack: ConsensusAttack, b: number, steps: number) =>
    consensusError({ rule, attack, b, steps, seed: 1 })
  t.ok(error('cs+', 'dissensus', 9, 12) < 0.2)
  t.ok(error('cs+', 'spectral', 9, 12) < 0.6)
  t.ok(error('nna', 'spectral', 9, 8) > 10)
})

const { training, everything, halves } = await prepared()
const accuracyOf = async (model: Float32Array | undefined): Promise<number> => (model === undefined ? 0 : training.accuracy(model, 1000))

t.test('ring: clipping learns under IPM, which destroys the geometric median', async (t) => {
  const attackers = { each: 2, attack: 'ipm(tau=0.1)' }
  const run = async (rule: Pick<GossipOptions, 'rule' | 'f' | 'weight'>) => {
    const parts = drawParts([everything], 5, 320, 1)
    return accuracyOf(
      await gossip(training, { ...rule, batchSize: 32, learningRate: 0.01, rounds: 30, graph: ring(5), parts, attackers, seed: 1 }),
    )
  }
  t.ok((await run({ rule: 'clipped-gossip(tau=0.1)', f: 0, weight: 1 / 9 })) > 60)
  t.ok((await run({ rule: 'geometric-median(nu=0.1, T=8)', f: 0 })) < 30)
})

t.test('dumbbell: a trimmed mean cuts the bridge that plain gossip keeps', async (t) => {
  const run = async (rule: Pick<GossipOptions, 'rule' | 'f' | 'weight'>) => {
    const graph = dumbbell(4)
    const parts = drawParts(halves, graph.size, 320, 1)
    return accuracyOf(await gossip(training, { ...rule, batchSize: 32, learningRate: 0.05, rounds: 40, graph, parts, seed: 1 }))
  }
  const plain = await run({ rule: 'mean', f: 0, weight: 1 / 5 })
  const trimmed = await run({ rule: 'trimmed-mean', f: 1 })
  t.ok(plain > trimmed + 3, `${plain} and ${trimmed}`)
})

async function prepared(): Promise<{ training: Training; everything: Int32Array; halves: Int32Array[] }> {
  const data = await loadMnist()
  const training = await createTraining(data, { model: modelOf('mlp', 1), batchSize: 32, momentum: 0.9, input: NORMALIZED })
  const everything = Int32Array.from(data.train.y.keys())
  const halves = [0, 1].map((half) => everything.filter((row) => Math.floor(data.train.y[row]! / 5) === half))
  return { training, everything, halves }
}
