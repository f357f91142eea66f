// Taking weights out of a model and putting them back.
import t from 'tap'
import { exportModel, loadModel, splitWeights } from '../../models/index.ts'
import { parseModel, writeModel } from '../../models/serialize.ts'
import { zooModel } from '../../models/zoo/index.ts'
import { exchangedSize, layoutSize } from '../../protocol/layout.ts'
import { createPrng } from '../../protocol/prng.ts'
import { buildModel, infer, normals, sameBits } from './helpers.ts'

const IMAGE = [1, 28, 28]
const SIZES = { 'mnist-cnn': 18_378, 'mnist-mlp': 101_770, softmax: 7_850 }
const NAMES = Object.keys(SIZES) as (keyof typeof SIZES)[]

for (const name of NAMES) {
  t.test(`${name}: exported with its own weights it gives the same logits, bit for bit`, async (t) => {
    const model = zooModel(name, 3)
    const { graph, layout, params } = splitWeights(model)
    t.equal(params.length, SIZES[name])
    t.equal(layoutSize(layout), SIZES[name])
    t.ok(graph.length < 2000, `the hollow graph has ${graph.length} bytes`)
    const x = normals(createPrng(1), 5 * 784)
    t.ok(sameBits(await infer(exportModel(graph, layout, params), x, IMAGE), await infer(model, x, IMAGE)))
  })
}

t.test('other weights give other logits', async (t) => {
  const { graph, layout } = splitWeights(zooModel('softmax', 3))
  const { params } = splitWeights(zooModel('softmax', 4))
  const x = normals(createPrng(1), 784)
  t.ok(sameBits(await infer(exportModel(graph, layout, params), x, IMAGE), await infer(zooModel('softmax', 4), x, IMAGE)))
})

t.test('a zoo model of one seed is always the same bytes, and of another seed other ones', async (t) => {
  for (const name of NAMES) {
    t.ok(sameBits(zooModel(name, 7), zooModel(name, 7)))
    t.notOk(sameBits(zooModel(name, 7), zooModel(name, 8)))
  }
  t.throws(() => zooModel('resnet', 1), { code: 'bad-argument', message: /"resnet".*mnist-cnn/ })
})

t.test('initial weights fill their bounds evenly and biases are zero', async (t) => {
  const { layout, params } = splitWeights(zooModel('mnist-mlp', 1))
  const of = (name: string) => {
    const { offset, shape } = layout.find((entry) => entry.name === name)!
    return params.subarray(offset, offset + shape.reduce((a, b) => a * b, 1))
  }
  const bound = (values: Float32Array) => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
  const he = Math.sqrt(6 / 784)
  const glorot = Math.sqrt(6 / (128 + 10))
  t.ok(bound(of('fc1.weight')) <= he && bound(of('fc1.weight')) > 0.99 * he)
  t.ok(bound(of('fc2.weight')) <= glorot && bound(of('fc2.weight')) > 0.95 * glorot)
  t.equal(bound(of('fc1.bias')), 0)
})

t.test('personal tensors come last, and loading the hollow graph gives the same layout', async (t) => {
  const model = zooModel('mnist-cnn', 1)
  const { graph, layout, params } = splitWeights(model, { personal: ['conv1.*'] })
  t.strictSame(
    layout.map(({ name, segment }) => [name, segment]),
    [
      ['conv2.weight', 'shared'],
      ['conv2.bias', 'shared'],
      ['fc.weight', 'shared'],
      ['fc.bias', 'shared'],
      ['conv1.weight', 'personal'],
      ['conv1.bias', 'personal'],
    ],
  )
  t.equal(exchangedSize(layout), 18_378 - 416)
  t.strictSame(loadModel(graph).layout, layout)
  const x = normals(createPrng(1), 784)
  t.ok(sameBits(await infer(exportModel(graph, layout, params), x, IMAGE), await infer(model, x, IMAGE)))
})

t.test('only the tensors named trainable are taken out', async (t) => {
  const model = zooModel('mnist-cnn', 1)
  const { graph, layout, params } = splitWeights(model, { trainable: ['fc.weight', '*2.bias'] })
  t.strictSame(
    layout.map(({ name }) => name),
    ['conv2.bias', 'fc.weight'],
  )
  const x = normals(createPrng(1), 784)
  t.ok(sameBits(await infer(exportModel(graph, layout, params), x, IMAGE), await infer(model, x, IMAGE)))
})

t.test('scalars stay constants unless they are named', async (t) => {
  const model = buildModel([4], ({ b, weight }, x) => b.op('MatMul', [b.op('Mul', [x, weight('half', [])]), weight('w', [4, 3])]))
  t.strictSame(
    splitWeights(model).layout.map(({ name }) => name),
    ['w'],
  )
  t.strictSame(
    splitWeights(model, { trainable: ['*'] }).layout.map(({ name }) => name),
    ['half', 'w'],
  )
})

t.test('a pattern that matches nothing, a hollow model and a wrong vector are told apart', async (t) => {
  const { graph, layout, params } = splitWeights(zooModel('softmax', 1))
  t.throws(() => splitWeights(zooModel('softmax', 1), { personal: ['head.*'] }), {
    code: 'bad-argument',
    message: /head.*it has fc\.weight/,
  })
  t.throws(() => splitWeights(graph), { code: 'model-invalid', message: /no weights/ })
  t.throws(() => exportModel(graph, layout, params.subarray(1)), { code: 'bad-argument', message: /7850 parameters, but 7849/ })
  const other = splitWeights(zooModel('mnist-mlp', 1))
  t.throws(() => exportModel(graph, other.layout, other.params), { code: 'bad-argument', message: /no tensor "fc1.weight"/ })
})

t.test('weights written as float_data, and as inputs too, are read as well', async (t) => {
  const model = zooModel('softmax', 5)
  const proto = parseModel(model)
  for (const tensor of proto.graph!.initializer) {
    tensor.floatData = [...new Float32Array(tensor.rawData!.slice().buffer)]
    delete tensor.rawData
    proto.graph!.input.push({ ...proto.graph!.input[0]!, name: tensor.name })
  }
  t.ok(sameBits(splitWeights(writeModel(proto)).params, splitWeights(model).params))
})
