// What a codec costs and saves: the same federation trained once for each, on real data with the product's own trainer, codecs and
// rule, then the size of an update, its error, and how fast it is encoded and decoded. The table of docs/codecs.md.
// Usage: node scripts/bench/codecs.ts [--model NAME|FILE.onnx] [--data mnist] [--rounds 8] [--steps 100] [--seeds 3] [--alpha 0.5] [--lr 0.05]
import { parseArgs } from 'node:util'
import { loadData } from '../../node/data/load.ts'
import { agree, lossOf, optimizerOf, readModelFile } from '../../node/learning.ts'
import { parseOptions, type TaskOptions, taskOptions } from '../../node/options.ts'
import type { Trainer } from '../../node/ports.ts'
import { createTrainer } from '../../node/train/trainer.ts'
import { parseRule } from '../../protocol/aggregation/index.ts'
import { type Codec, codecOf } from '../../protocol/codec/index.ts'
import { exchangedSize, type Layout, layoutSize } from '../../protocol/layout.ts'
import { createPrng } from '../../protocol/prng.ts'

const PEERS = 5
/** Attackers that the rule withstands among five: byzantineShare's default. */
const F = 1
const MAX_ABS = 1e4
/** Rounds from one look at the test set to the next. */
const EVERY = 4
/** Values encoded for the speed, and how often; the fastest counts. */
const SPEED_VALUES = 1_000_000
const SPEED_RUNS = 50

const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'mnist-cnn' },
    data: { type: 'string', default: 'mnist' },
    rounds: { type: 'string', default: '8' },
    steps: { type: 'string', default: '100' },
    seeds: { type: 'string', default: '3' },
    alpha: { type: 'string', default: '0.5' },
    lr: { type: 'string', default: '0.05' },
  },
})
const rounds = Number(flags.rounds)
const seeds = Array.from({ length: Number(flags.seeds) }, (_, i) => i + 1)
const codecs = ['float32', 'float16', 'int8'].map(codecOf)

interface Result {
  /** On the test set, every few rounds and at the end. */
  accuracies: number[]
  /** Numbers that travel. */
  count: number
  /** Of the last round: the largest error, and the root mean square of errors relative to that of values. */
  worst: number
  relative: number
}

console.log(
  `${flags.model} on ${flags.data}: ${PEERS} peers, Dirichlet ${flags.alpha}, ${rounds} rounds of ${flags.steps} steps at ${flags.lr}, seeds ${seeds.join(' ')}`,
)
const results = new Map(codecs.map((codec) => [codec, [] as Result[]]))
for (const seed of seeds) {
  for (const codec of codecs) {
    const result = await federate(codec, seed)
    results.get(codec)!.push(result)
    console.log(`seed ${seed} ${codec.name.padEnd(8)} ${result.accuracies.map(percent).join(' ')}`)
  }
}

console.log('\n| codec | test accuracy | bytes an update | smaller | largest error | relative error | encode | decode |')
console.log('|---|---|---|---|---|---|---|---|')
for (const [codec, runs] of results) {
  const mean = (of: (result: Result) => number) => runs.reduce((sum, run) => sum + of(run), 0) / runs.length
  const { count } = runs[0]!
  const bytes = codec.encodedLength(count)
  const ratio = codecOf('float32').encodedLength(count) / bytes
  const [encode, decode] = speedOf(codec)
  const errors = `${Math.max(...runs.map((run) => run.worst)).toExponential(1)} | ${mean((run) => run.relative).toExponential(1)}`
  console.log(
    `| ${codec.name} | ${percent(mean((run) => run.accuracies.at(-1)!))} | ${bytes} | ${ratio.toFixed(2)} x | ${errors} | ${encode} MB/s | ${decode} MB/s |`,
  )
}

/** Every peer trains from the common model, all aggregate what all decode, as a network does that loses nothing. */
async function federate(codec: Codec, seed: number): Promise<Result> {
  const options = parseOptions(taskOptions, { model: flags.model, rounds, steps: flags.steps, lr: flags.lr, seed })
  const { model, trainers } = await peersOf(options)
  const [length, shared] = [exchangedSize(model.layout), layoutSize(model.layout, 'shared')]
  const rule = parseRule(options.rule)
  const peers = trainers.map((trainer) => ({ trainer, optimizer: new Float32Array() as Float32Array }))
  let params = model.params
  const accuracies: number[] = []
  const errors = { worst: 0, relative: 0 }
  try {
    for (let round = 1; round <= rounds; round++) {
      const vectors: Float32Array[] = []
      for (const [i, peer] of peers.entries()) {
        const trained = await peer.trainer.train({
          params,
          optimizer: peer.optimizer,
          steps: options.steps,
          seed: seed * 1_000_003 + round * 101 + i,
          stepsBefore: (round - 1) * options.steps,
        })
        peer.optimizer = trained.optimizer
        const sent = trained.params.subarray(0, length)
        const decoded = codec.decode(codec.encode(sent), length, MAX_ABS)
        if ('rejected' in decoded) throw new Error(`${codec.name} refused what it encoded: ${decoded.rejected}`)
        vectors.push(decoded.values)
        if (round === rounds) Object.assign(errors, errorsOf(sent, decoded.values))
      }
      params = Float32Array.from(params)
      params.set(rule.run({ vectors, own: 0, f: F, shared }).output)
      if (round % EVERY === 0 || round === rounds) {
        const { accuracy } = await peers[0]!.trainer.evaluate({ params, split: 'test' })
        if (accuracy === undefined) throw new Error(`${flags.data} has no classes to tell apart.`)
        accuracies.push(accuracy)
      }
    }
    return { accuracies, count: length, ...errors }
  } finally {
    await Promise.all(trainers.map((trainer) => trainer.stop()))
  }
}

async function peersOf(options: TaskOptions): Promise<{ model: { layout: Layout; params: Float32Array }; trainers: Trainer[] }> {
  const from = { data: flags.data }
  const { graph, layout, params, schema } = await agree(await readModelFile(options.model, options.seed), from, options)
  const { input, target } = schema
  const learning = { graph, loss: lossOf(options), optimizer: optimizerOf(options, rounds * options.steps), input, target }
  const trainers: Trainer[] = []
  for (let index = 0; index < PEERS; index++) {
    const shard = { index, of: PEERS, alpha: Number(flags.alpha), seed: options.seed }
    const data = await loadData(flags.data, schema, { shard, validation: 0.1, seed: options.seed, withTest: true })
    trainers.push(await createTrainer({ ...learning, batchSize: options.batchSize, data }))
  }
  return { model: { layout, params }, trainers }
}

function errorsOf(sent: Float32Array, decoded: Float32Array): { worst: number; relative: number } {
  let [worst, squares, energy] = [0, 0, 0]
  for (let i = 0; i < sent.length; i++) {
    const error = Math.abs(sent[i]! - decoded[i]!)
    worst = Math.max(worst, error)
    squares += error ** 2
    energy += sent[i]! ** 2
  }
  return { worst, relative: Math.sqrt(squares / energy) }
}

/** Megabytes of float32 a second. */
function speedOf(codec: Codec): [encode: string, decode: string] {
  const prng = createPrng('speed')
  const values = Float32Array.from({ length: SPEED_VALUES }, () => 0.05 * prng.normal())
  const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let run = 0; run < SPEED_RUNS; run++) {
    const began = performance.now()
    const bytes = codec.encode(values)
    const between = performance.now()
    codec.decode(bytes, SPEED_VALUES, MAX_ABS)
    best[0] = Math.min(best[0]!, between - began)
    best[1] = Math.min(best[1]!, performance.now() - between)
  }
  const [encode, decode] = best.map((millis) => (values.byteLength / 1e3 / millis).toFixed(0))
  return [encode!, decode!]
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}
