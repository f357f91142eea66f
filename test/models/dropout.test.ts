// Dropout drops what it says, differently at every step, place and position, the same on every machine, and nothing at evaluation.
import { Tensor } from 'onnxruntime-node'
import t from 'tap'
import { floatTensor, TYPE } from '../../models/graph.ts'
import { compileTraining, exportModel, loadModel, splitWeights } from '../../models/index.ts'
import { createPrng } from '../../protocol/prng.ts'
import {
  type Batch,
  buildModel,
  dataFeeds,
  evaluate,
  floats,
  infer,
  normals,
  type Parts,
  sameBits,
  session,
  sgd,
  taskOf,
  train,
} from './helpers.ts'

/** Positions of a mask, and steps that are looked at. */
const SIZE = 4096
const STEPS = 64
/** Standard deviations beyond which a fair coin is called unfair: once in a million; the masks never change. */
const DEVIATIONS = 5

const drop = ({ b }: Parts, value: string, ratio: number): string =>
  b.op('Dropout', [value, ratioOf(b, ratio), b.tensor({ type: TYPE.bool, dims: [], data: Uint8Array.of(1) })])
const ratioOf = (b: Parts['b'], ratio: number): string => b.tensor(floatTensor([ratio], []))

/**
 * The masks of each seed, of `layers` places with `size` positions each: 0 where dropped, else the factor. With the loss |output|
 * and outputs above 0 the gradient is the mask's over the number of outputs, and momentum keeps it.
 */
async function masksOf(seeds: readonly number[], { ratio = 0.5, layers = 1, size = SIZE } = {}): Promise<Float32Array[]> {
  const model = buildModel([1], (parts, x) => {
    const { b } = parts
    const places = Array.from({ length: layers }, (_, i) => {
      b.constants.set(`w${i}`, floatTensor(new Float32Array(size).fill(1), [1, size]))
      return drop(parts, b.op('MatMul', [x, `w${i}`]), ratio)
    })
    return layers === 1 ? places[0]! : b.op('Concat', places, { axis: { int: 1 } })
  })
  const count = size * layers
  const batch: Batch = { x: Float32Array.of(1), y: new Float32Array(count).fill(-1), shape: [1], labelShape: [count] }
  const loss = { kind: 'l1' } as const
  const { graph, params } = splitWeights(model)
  const optimizer = sgd({ momentum: 0.5 })
  const { bytes } = compileTraining(loadModel(graph), { loss, optimizer, batchSize: 1, ...taskOf(graph, batch, loss) })
  const run = await session(bytes)
  const masks: Float32Array[] = []
  for (const seed of seeds) {
    const { new_optimizer } = await run.run({
      params: floats(params, count),
      optimizer: floats(new Float32Array(count), count),
      ...dataFeeds(batch),
      index: new Tensor('int32', new Int32Array(1), [1, 1]),
      lr: floats([0], 1),
      halt: floats([0]),
      seeds: new Tensor('int64', BigInt64Array.of(BigInt(seed)), [1]),
    })
    masks.push((new_optimizer!.data as Float32Array).map((value) => value * count))
  }
  return masks
}

const isKept = (value: number): number => (value === 0 ? 0 : 1)
const steps = (first = 0) => Array.from({ length: STEPS }, (_, i) => first + i)
const kept = (masks: readonly Float32Array[]): number =>
  masks.reduce((sum, mask) => sum + mask.reduce((sum, value) => sum + isKept(value), 0), 0)

for (const ratio of [0.1, 0.5, 0.75]) {
  t.test(`of a ratio of ${ratio} that share is dropped, and the rest made up for it`, async (t) => {
    const masks = await masksOf(steps(), { ratio })
    const factor = 1 / (1 - ratio)
    t.ok(masks.every((mask) => mask.every((value) => value === 0 || Math.abs(value / factor - 1) < 1e-6)))
    const n = SIZE * STEPS
    const z = (kept(masks) - n * (1 - ratio)) / Math.sqrt(n * ratio * (1 - ratio))
    t.ok(Math.abs(z) < DEVIATIONS, `${z.toFixed(1)} standard deviations off`)
    // Each step's count spreads as independent coins do: neither clustered nor too even.
    const squares = masks.map((mask) => (kept([mask]) - SIZE * (1 - ratio)) ** 2 / (SIZE * ratio * (1 - ratio)))
    const spread = (squares.reduce((sum, value) => sum + value, 0) - STEPS) / Math.sqrt(2 * STEPS)
    t.ok(Math.abs(spread) < DEVIATIONS, `the spread of ${STEPS} counts is ${spread.toFixed(1)} standard deviations off`)
  })
}

/** How far two sequences of coins are from independent, in standard deviations, by how often they agree. */
function dependence(pairs: Iterable<[number, number]>, ratio: number): number {
  let n = 0
  let sum = 0
  for (const [a, b] of pairs) {
    n++
    sum += (isKept(a) - (1 - ratio)) * (isKept(b) - (1 - ratio))
  }
  return sum / (Math.sqrt(n) * ratio * (1 - ratio))
}

function* pairsOf(masks: readonly Float32Array[], steps: number, places: number): Generator<[number, number]> {
  for (let step = 0; step + steps < masks.length; step++) {
    const [one, other] = [masks[step]!, masks[step + steps]!]
    for (let i = 0; i + places < one.length; i++) yield [one[i]!, other[i + places]!]
  }
}

t.test('neither neighbours nor steps nor seeds nor layers say anything of each other', async (t) => {
  for (const ratio of [0.1, 0.5]) {
    const masks = await masksOf(steps(), { ratio })
    let worst = 0
    const look = (what: string, pairs: Iterable<[number, number]>) => {
      const found = Math.abs(dependence(pairs, ratio))
      worst = Math.max(worst, found)
      if (found >= DEVIATIONS) t.fail(`${what}: ${found.toFixed(1)} standard deviations`)
    }
    for (const distance of [1, 2, 3, 4, 7, 8, 16, 32, 64, 128, 256, 1024]) look(`positions ${distance} apart`, pairsOf(masks, 0, distance))
    for (const distance of [1, 2, 3, 8, 32])
      for (const shift of [0, 1, 2]) look(`steps ${distance}, positions ${shift} apart`, pairsOf(masks, distance, shift))
    // A trainer's seeds are its own in the upper half and the step in the lower.
    const others = await masksOf(steps(2 ** 32), { ratio })
    for (const shift of [0, 1])
      look(
        `other seeds, ${shift} apart`,
        masks.flatMap((mask, i) => [...pairsOf([mask, others[i]!], 1, shift)]),
      )
    const layers = await masksOf(steps(), { ratio, layers: 2, size: SIZE / 2 })
    for (const shift of [0, 1])
      look(
        `layers, ${shift} apart`,
        layers.flatMap((both) => [...pairsOf([both.subarray(0, SIZE / 2), both.subarray(SIZE / 2)], 1, shift)]),
      )
    t.ok(worst < DEVIATIONS, `at most ${worst.toFixed(1)} standard deviations`)
  }
})

t.test('all patterns of eight neighbours are as frequent as of coins', async (t) => {
  const counts = new Float64Array(256)
  for (const mask of await masksOf(steps())) {
    for (let i = 0; i < SIZE; i += 8) counts[mask.subarray(i, i + 8).reduce((bits, value) => 2 * bits + isKept(value), 0)]!++
  }
  const expected = (SIZE * STEPS) / 8 / 256
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  const off = (chiSquare - 255) / Math.sqrt(2 * 255)
  t.ok(Math.abs(off) < DEVIATIONS, `chi-square ${chiSquare.toFixed(0)} for 255 degrees of freedom`)
})

/** The hash of models/operators/dropout.ts in whole numbers; `place` counts the values before the node. */
function expectedMask(seed: bigint, place: number, size: number): string {
  const wrap = (value: bigint) => BigInt.asUintN(64, value)
  const [golden, mix] = [0x9e3779b97f4a7c15n, 0xbf58476d1ce4e5b9n]
  return Array.from({ length: size }, (_, i) => {
    const state = wrap(BigInt(i + 1) * golden + (seed + BigInt(place + 1) * mix) * mix)
    const hash = wrap((state ^ (state >> 30n)) * mix)
    return hash >> 63n
  }).join('')
}

t.test('a mask is a hash of seed, place and position in whole numbers: the same on every machine', async (t) => {
  const seeds = [7, 8, 2 ** 32 + 7, 2 ** 53 - 1, -3]
  const masks = await masksOf(seeds, { size: 64 })
  const found = masks.map((mask) => [...mask].map(isKept).join(''))
  t.equal(new Set(found).size, seeds.length)
  const place = Array.from({ length: 100 }, (_, place) => place).find((place) => expectedMask(7n, place, 64) === found[0])
  t.not(place, undefined)
  t.strictSame(
    found,
    seeds.map((seed) => expectedMask(BigInt(seed), place!, 64)),
  )
})

const SHAPE = [6]
const prng = createPrng('dropout')
const DATA = { x: normals(prng, 12 * 6), y: Int32Array.from({ length: 12 }, () => prng.int(3)), shape: SHAPE }
const INDEX = Array.from({ length: 6 }, () => Array.from({ length: 4 }, () => prng.int(12)))
/** Two layers with dropout before and between them. */
const network = (ratio: number) =>
  buildModel(SHAPE, (parts, x) => {
    const { b, weight } = parts
    const hidden = b.op('Tanh', [b.op('Gemm', [drop(parts, x, ratio), weight('first', [6, 8]), weight('bias', [8])])])
    return b.op('Gemm', [drop(parts, hidden, ratio), weight('last', [8, 3])])
  })
const DROPPING = network(0.4)

t.test('the same seeds are the same training however its steps fall into runs, and other seeds another', async (t) => {
  const seeds = INDEX.map((_, step) => 2 ** 33 + step)
  const optimizer = sgd({ kind: 'adam', learningRate: 0.02 })
  const together = await train(DROPPING, DATA, INDEX, { optimizer, seeds })
  for (const length of [1, 2, 4]) {
    let from: { params: Float32Array; state: Float32Array } | undefined
    for (let at = 0; at < INDEX.length; at += length) {
      const part = { seeds: seeds.slice(at, at + length), ...(from && { from }) }
      from = await train(DROPPING, DATA, INDEX.slice(at, at + length), { optimizer, ...part })
    }
    t.ok(sameBits(from!.params, together.params), `runs of ${length}`)
  }
  const other = await train(DROPPING, DATA, INDEX, { optimizer, seeds: seeds.map((seed) => seed + 1) })
  t.notOk(sameBits(other.params, together.params))
})

t.test('an evaluation and an exported model drop nothing', async (t) => {
  const plain = network(0)
  t.ok(sameBits((await evaluate(DROPPING, DATA)).losses!, (await evaluate(plain, DATA)).losses!))
  const { graph, layout, params } = splitWeights(DROPPING)
  const [logits, expected] = [await infer(exportModel(graph, layout, params), DATA.x, SHAPE), await infer(plain, DATA.x, SHAPE)]
  t.ok(sameBits(logits, expected))
})

t.test('a ratio of 0 drops nothing and asks for no seeds', async (t) => {
  const { graph } = splitWeights(network(0))
  const loss = { kind: 'cross-entropy' } as const
  const options = { loss, optimizer: sgd(), batchSize: 4, ...taskOf(graph, DATA, loss) }
  t.equal(compileTraining(loadModel(graph), options).random, false)
  t.equal(compileTraining(loadModel(splitWeights(DROPPING).graph), options).random, true)
})

t.test('the gradient is that of the loss under the very mask of the step', async (t) => {
  // In float32: differences over a wide step of a smooth loss are good for three digits.
  const DELTA = 1e-2
  const { params } = splitWeights(DROPPING)
  const rows = [[...DATA.y.keys()]]
  for (const seed of [1, 2, 3]) {
    const still = { seeds: [seed], rates: [0], optimizer: sgd({ momentum: 0.5 }) }
    const start = { params, state: new Float32Array(params.length) }
    const { state: gradient } = await train(DROPPING, DATA, rows, { ...still, from: start })
    const lossAt = async (i: number, delta: number) => {
      const moved = params.slice()
      moved[i]! += delta
      return (await train(DROPPING, DATA, rows, { ...still, from: { ...start, params: moved } })).losses[0]!
    }
    for (const i of [0, 13, 47, 50, 56, 60, 79]) {
      const slope = ((await lossAt(i, DELTA)) - (await lossAt(i, -DELTA))) / (2 * DELTA)
      t.ok(Math.abs(slope - gradient[i]!) < 2e-4, `seed ${seed}, parameter ${i}: ${gradient[i]} and ${slope}`)
    }
  }
})

t.test('training with dropout still learns', async (t) => {
  const index = Array.from({ length: 300 }, () => [...DATA.y.keys()])
  const { params, losses } = await train(network(0.2), DATA, index, { optimizer: sgd({ learningRate: 0.3 }) })
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length
  t.ok(mean((await evaluate(network(0.2), DATA, { from: params })).losses!) < 0.5 * losses[0]!)
})

for (const ratio of [1, -0.1, Number.NaN]) {
  t.test(`a ratio of ${ratio} is refused`, async (t) => {
    t.throws(() => splitWeights(network(ratio)), { code: 'model-invalid', message: /drops a share of .*at least 0 and below 1/ })
  })
}
