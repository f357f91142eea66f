// A stranger's model is refused with one sentence, before it takes time or memory; never anything but a MurmurError.
import { readFileSync } from 'node:fs'
import { clone, create } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { type Attribute, floatTensor, intTensor, type Node, type Tensor, TYPE, type ValueInfo } from '../../models/graph.ts'
import {
  compileEvaluation,
  compileTraining,
  describeModel,
  exportModel,
  loadModel,
  modelSignature,
  splitWeights,
  suitableTask,
  trainingNotes,
} from '../../models/index.ts'
import { AttributeProtoSchema, type ModelProto, ModelProtoSchema, NodeProtoSchema } from '../../models/onnx_pb.ts'
import { encodeModel, parseModel, writeModel } from '../../models/serialize.ts'
import { SUPPORTED_OPERATORS } from '../../models/supported.ts'
import { runLimited } from '../../node/train/limited.ts'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { batchDependentModel } from './batch-dependent.ts'
import { sgd } from './helpers.ts'

const node = (op: string, inputs: string[], outputs: string[], attributes: Record<string, Attribute> = {}): Node => ({
  ...{ op, name: '', inputs, outputs, attributes },
})
const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))

interface Parts {
  nodes?: Node[]
  constants?: Record<string, Tensor>
  shape?: number[]
  type?: ValueInfo['type']
  /** What is multiplied by the weights. */
  last?: string
}

/** Four numbers a sample, or what `last` makes of another shape, to three classes. */
function model({ nodes = [], constants = {}, shape = [4], type = TYPE.float32, last = 'input' }: Parts): Uint8Array {
  return encodeModel({
    name: 'hostile',
    inputs: [{ name: 'input', type, dims: ['batch', ...shape] }],
    outputs: [{ name: 'scores', type: TYPE.float32, dims: ['batch', 3] }],
    nodes: [...nodes, node('MatMul', [last, 'weights'], ['scores'])],
    constants: new Map(
      Object.entries({
        weights: floatTensor(
          times(12, (i) => i / 12),
          [4, 3],
        ),
        ...constants,
      }),
    ),
  })
}

const pads = (count: number) => ({ pads: intTensor([0, 0, 0, count]) })
const mode = (string: string) => ({ mode: { string } })
const many = intTensor(times(65_536, () => 7))

/** Models that would take minutes or gigabytes to look at. */
const bombs: Record<string, [Parts, code: string, message: RegExp]> = {
  'an input of absurd size': [{ shape: [2 ** 40, 4] }, 'limit-exceeded', /One sample/],
  'padding by repetition without end': [
    { nodes: [node('Pad', ['input', 'pads'], ['a'], mode('reflect'))], constants: pads(2 ** 28) },
    'model-invalid',
    /does not fit/,
  ],
  'padding without end of what is empty': [
    {
      nodes: [node('Slice', ['input', 'zero', 'zero', 'zero'], ['a']), node('Pad', ['a', 'pads'], ['b'], mode('wrap'))],
      constants: { ...pads(2 ** 31), zero: intTensor([0]) },
    },
    'model-invalid',
    /does not fit/,
  ],
  'thousands of paddings': [
    { nodes: times(400, (i) => node('Pad', ['input', 'pads'], [`a${i}`], mode('edge'))), constants: pads(2 ** 17) },
    'limit-exceeded',
    /taken apart/,
  ],
  'a resized axis without end': [
    {
      shape: [1, 1, 4],
      nodes: [node('Resize', ['input', '', '', 'sizes'], ['a'], mode('nearest'))],
      constants: { sizes: intTensor([1, 1, 1, 2 ** 28]) },
    },
    'model-invalid',
    /268435456 of 4/,
  ],
  'LRN over many channels': [
    { shape: [30_000, 1, 4], nodes: [node('LRN', ['input'], ['a'], { size: { int: 5 } })] },
    'model-invalid',
    /LRN/,
  ],
  'millions of steps': [
    {
      nodes: [
        node('Reshape', ['input', 'apart'], ['a']),
        node('Expand', ['a', 'steps'], ['b']),
        node('LSTM', ['b', 'w', 'w'], ['c'], { hidden_size: { int: 4 } }),
      ],
      constants: { apart: intTensor([1, -1, 4]), steps: intTensor([2 ** 21, 1, 1]), w: floatTensor(new Float32Array(64), [1, 16, 4]) },
    },
    'model-invalid',
    /2097152 steps/,
  ],
  'an equation of thousands': [
    {
      nodes: [
        node(
          'Einsum',
          times(20_000, () => 'input'),
          ['a'],
          { equation: { string: times(20_000, () => 'ab').join(',') } },
        ),
      ],
    },
    'model-invalid',
    /more than 32 operands/,
  ],
  'thousands of axes': [
    { nodes: [node('Unsqueeze', ['input', 'axes'], ['a'])], constants: { axes: intTensor(times(60_000, (i) => i)) } },
    'model-invalid',
    /adds 60000 axes/,
  ],
  'thousands of dimensions': [
    { nodes: [node('Reshape', ['input', 'dims'], ['a'])], constants: { dims: intTensor([-1, ...times(60_000, () => 1)]) } },
    'model-invalid',
    /60001 dimensions/,
  ],
  'the same axis cut again and again': [
    { nodes: [node('Slice', ['input', 'many', 'many', 'many'], ['a'])], constants: { many: intTensor(times(60_000, () => 1)) } },
    'model-invalid',
    /Slice/,
  ],
  'constants that are computed again and again': [
    { nodes: times(20_000, (i) => node('ReduceSum', ['many'], [`a${i}`])), constants: { many } },
    'limit-exceeded',
    /taken apart/,
  ],
  'constants that pile up': [
    { nodes: times(2000, (i) => node('Neg', ['many'], [`a${i}`])), constants: { many } },
    'limit-exceeded',
    /taken apart/,
  ],
  'weights that are handed on without end': [
    { nodes: times(20_000, (i) => node('Identity', ['weights'], [`onnx::a${i}`])) },
    'limit-exceeded',
    /20000 Identity/,
  ],
  'positions by batch without end': [
    { type: TYPE.int64, shape: [10 ** 8, 1], nodes: [node('GatherND', ['input', 'input'], ['a'], { batch_dims: { int: 1 } })] },
    'model-invalid',
    /GatherND/,
  ],
  'a negative number of batch axes': [
    { type: TYPE.int64, shape: [3, 1], nodes: [node('GatherND', ['input', 'input'], ['a'], { batch_dims: { int: -1 } })] },
    'model-invalid',
    /GatherND/,
  ],
}

for (const [name, [parts, code, message]] of Object.entries(bombs)) {
  t.test(`${name}: refused`, async (t) => void t.throws(() => splitWeights(model(parts)), { code, message }))
}

t.test('whole numbers are divided by constants only, since a quotient may end the process', async (t) => {
  const divided = (op: string, by: string, type: ValueInfo['type'], attributes = {}) =>
    model({
      type,
      nodes: [node(op, ['input', by], ['a'], attributes), node('Cast', ['a'], ['b'], { to: { int: TYPE.float32 } })],
      constants: { two: intTensor([2]), minusOne: intTensor([1, 1, 1, -1]), zero: intTensor([0]) },
      last: 'b',
    })
  for (const op of ['Div', 'Mod']) {
    t.doesNotThrow(() => splitWeights(divided(op, 'two', TYPE.int64)))
    for (const by of ['input', 'minusOne', 'zero']) {
      t.throws(() => splitWeights(divided(op, by, TYPE.int64)), { code: 'model-invalid', message: /divides whole numbers/ }, `${op} ${by}`)
    }
  }
  t.throws(() => splitWeights(divided('Div', 'input', TYPE.int32)), { code: 'model-invalid' })
  t.doesNotThrow(() => splitWeights(divided('Div', 'input', TYPE.float32)))
})

t.test('long chains and values that many read compile', async (t) => {
  const count = 2_000
  const chain = model({ nodes: times(count, (i) => node('Identity', [i === 0 ? 'input' : `a${i - 1}`], [`a${i}`])), last: `a${count - 1}` })
  const sums = times(count, (i) => node('Add', [i === 0 ? 'input' : `a${i - 1}`, 'bias'], [`a${i}`]))
  const readers = model({ nodes: sums, constants: { bias: floatTensor([1, 2, 3, 4], [4]) }, last: `a${count - 1}` })
  const shapes = parseModel(model({}))
  for (let i = 0; i < count; i++) {
    const input = [i === 0 ? 'scores' : `a${i - 1}`, 'same']
    shapes.graph!.node.push(create(NodeProtoSchema, { opType: 'Reshape', input, output: [`a${i}`] }))
  }
  const like = parseModel(model({ constants: { same: intTensor([-1, 3]) } })).graph!.initializer.find((tensor) => tensor.name === 'same')!
  shapes.graph!.initializer.push(like)
  shapes.graph!.output[0]!.name = `a${count - 1}`
  for (const bytes of [chain, readers, writeModel(shapes)]) t.equal(look(bytes), true)
})

t.test('an operator without its inputs is refused where its gradient needs them', async (t) => {
  const bytes = model({
    nodes: [
      node('ReduceSum', ['input'], ['sum'], { keepdims: { int: 0 } }),
      node('ScatterElements', ['sum', 'place'], ['a']),
      node('Add', ['input', 'a'], ['b']),
    ],
    constants: { place: intTensor([0], []) },
    last: 'b',
  })
  t.equal(look(bytes), true)
})

t.test('names cannot rewrite a terminal, nor pass for those of the compilers', async (t) => {
  for (const name of ['\u0000seed', '\u00001', 'a\u001b[2J', 'a\nb', 'a\u009b31m', 'a\u202eb']) {
    const renamed = parseModel(model({ nodes: [node('Relu', ['input'], ['a'])], last: 'a' }))
    renamed.graph!.node[0]!.output[0] = name
    renamed.graph!.node[1]!.input[0] = name
    t.throws(() => loadModel(writeModel(renamed)), {
      code: 'model-invalid',
      message: /^The model names something "[^\p{C}]*", with control/u,
    })
  }
  const named = parseModel(model({}))
  named.graph!.node[0]!.opType = `\u001b[31m${'long '.repeat(1e6)}`
  t.throws(() => loadModel(writeModel(named)), { code: 'operator-unsupported', message: /^[^\p{C}]{1,2100}$/u })
  t.match(new MurmurError('internal', 'a\u0000\r\nb').message, /^a b$/)
})

t.test('names of the compilers are names like others', async (t) => {
  for (const name of [
    'step_seed',
    'w',
    'halt',
    'params',
    'x',
    'y',
    'index',
    'lr',
    'step',
    'm0',
    'c0',
    'outer_c1',
    'state_0',
    'loss',
    '__proto__',
  ]) {
    const bytes = model({ nodes: [node('Relu', ['input'], [name])], last: name })
    t.equal(look(bytes), true, name)
  }
})

t.test('a graph that is another for batches of evaluation is tried with those, too', async (t) => {
  const { graph, params } = splitWeights(batchDependentModel())
  const job = { kind: 'step', graph, parameters: params.length, optimizer: sgd(), batchSize: 4, threads: 1, provider: 'cpu' } as const
  const task = suitableTask(loadModel(graph), { kind: 'cross-entropy' })
  const { notes } = await runLimited({ ...job, ...task, evaluationBatches: [3, 4] })
  t.strictSame(notes, [])
  await t.rejects(runLimited({ ...job, ...task, evaluationBatches: [3, 100] }), { code: 'model-invalid', message: /Reshape/ })
})

/** True where everything that is done with a model before it runs either works or is refused with a sentence. */
function look(bytes: Uint8Array): unknown {
  try {
    const { graph, layout, params } = splitWeights(bytes)
    modelSignature(graph)
    describeModel(graph)
    exportModel(graph, layout, params)
    const model = loadModel(graph)
    const open = model.input.dims.slice(1).map((dim) => (typeof dim === 'number' ? dim : 8))
    for (const kind of ['cross-entropy', 'mse'] as const) {
      const task = suitableTask(model, { kind }, open)
      trainingNotes(graph, task)
      compileTraining(model, { ...task, optimizer: sgd(), batchSize: 4 })
      compileEvaluation(model, { ...task, batchSize: 3 })
    }
  } catch (error) {
    return (isMurmurError(error) && error.code !== 'internal' && !/\p{C}/u.test(error.message)) || error
  }
  return true
}

const EXPORTS = ['gpt-17', 'cnn-batchnorm-13', 'lstm-training-17', 'tabular-13', 'unet-bilinear-17', 'experts-17', 'text-classifier-13']
const bases = EXPORTS.map((name) => new Uint8Array(readFileSync(new URL(`exports/${name}.onnx`, import.meta.url))))
const protos = bases.map(parseModel)

const NUMBERS = [0n, 1n, -1n, 2n, 7n, 65_536n, 2n ** 31n, -(2n ** 31n), 2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n)]
const NAMES = ['', 'step_seed', 'w', 'params', 'm1', '\u0000seed', 'constructor', '__proto__']
const ATTRIBUTES = ['axis', 'axes', 'perm', 'to', 'group', 'batch_dims', 'keepdims', 'pads', 'strides', 'epsilon', 'other']

/** One change of a real model; `pick` chooses among the values that it is given. */
const changes: ((model: ModelProto, pick: <T>(values: readonly T[]) => T) => void)[] = [
  ({ graph }, pick) => {
    const { dims } = pick(graph!.initializer)
    if (dims.length > 0) dims[pick([...dims.keys()])] = pick(NUMBERS)
  },
  ({ graph }, pick) => void Object.assign(pick(graph!.initializer), { dataType: pick([1, 2, 6, 7, 9, 11, 13, 10, 0]) }),
  ({ graph }, pick) => void graph!.initializer.splice(pick([...graph!.initializer.keys()]), 1),
  ({ graph }, pick) => void graph!.initializer.push(pick(graph!.initializer)),
  ({ graph }, pick) => void Object.assign(pick(graph!.node), { opType: pick([...SUPPORTED_OPERATORS, 'Range', 'If']) }),
  ({ graph }, pick) => void pick(graph!.node).input.push(pick([...pick(graph!.node).input, ''])),
  ({ graph }, pick) => void pick(graph!.node).input.shift(),
  ({ graph }, pick) => {
    const { input } = pick(graph!.node)
    if (input.length > 0) input[pick([...input.keys()])] = pick([...pick(graph!.node).input, ...pick(graph!.node).output, ...NAMES])
  },
  ({ graph }, pick) => void pick(graph!.node).output.push(pick(['', 'more'])),
  ({ graph }, pick) => void graph!.node.splice(pick([...graph!.node.keys()]), 1),
  ({ graph }, pick) => {
    const { attribute } = pick(graph!.node)
    const ints = { type: 7, ints: [pick(NUMBERS), pick(NUMBERS)] }
    const value = pick([{ type: 2, i: pick(NUMBERS) }, ints, { type: 1, f: Number.NaN }, { type: 3, s: Uint8Array.of(255) }])
    attribute.push(create(AttributeProtoSchema, { name: pick([...attribute.map(({ name }) => name), ...ATTRIBUTES]), ...value }))
  },
  ({ graph }, pick) => {
    const { type } = pick([...graph!.input, ...graph!.output])
    const dims = type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : []
    if (dims.length > 0) pick(dims).value = { case: 'dimValue', value: pick(NUMBERS) }
  },
]

t.test('real models with a few things changed are used or refused with a sentence', async (t) => {
  const seeds = fc.array(fc.tuple(fc.nat(changes.length - 1), fc.infiniteStream(fc.nat(2 ** 20))), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(fc.constantFrom(...protos), seeds, (proto, steps) => {
      const changed = clone(ModelProtoSchema, proto)
      for (const [which, numbers] of steps) changes[which]!(changed, (values) => values[numbers.next().value! % values.length]!)
      const result = look(writeModel(changed))
      if (result !== true) throw result
    }),
    { numRuns: 200 },
  )
  t.pass()
})

t.test('real models with damaged bytes are used or refused with a sentence', async (t) => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(fc.constantFrom(...bases), damage, fc.boolean(), (base, places, isCut) => {
      const bytes = base.slice(0, isCut ? places[0]![0] % base.length : base.length)
      for (const [at, value] of places) bytes[at % bytes.length] = value
      const result = look(bytes)
      if (result !== true) throw result
    }),
    { numRuns: 200 },
  )
  t.pass()
})
