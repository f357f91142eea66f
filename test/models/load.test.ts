// What is refused, with one sentence that names it; and that nothing a stranger sends gets further.
import { create } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { classesOf, loadModel, modelSignature, splitWeights } from '../../models/index.ts'
import type { ModelProto } from '../../models/onnx_pb.ts'
import { OperatorSetIdProtoSchema, StringStringEntryProtoSchema } from '../../models/onnx_pb.ts'
import { parseModel, writeModel } from '../../models/serialize.ts'
import { MODEL_FIELDS } from '../../models/wire-limits.ts'
import { zooModel } from '../../models/zoo/index.ts'
import { type ErrorCode, isMurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

const WHOLE = zooModel('mnist-cnn', 1)
const HOLLOW = splitWeights(WHOLE).graph

function changed(change: (model: ModelProto) => void, bytes = HOLLOW): Uint8Array {
  const model = parseModel(bytes)
  change(model)
  return writeModel(model)
}

const refused: [string, (model: ModelProto) => void, ErrorCode, RegExp][] = [
  [
    'an operator that cannot be trained',
    (m) => {
      m.graph!.node[2]!.opType = 'NonMaxSuppression'
    },
    'operator-unsupported',
    /NonMaxSuppression "relu2".*supported are Abs, .*Conv/,
  ],
  [
    'an operator named like a property of every object',
    (m) => {
      m.graph!.node[2]!.opType = 'constructor'
    },
    'operator-unsupported',
    /constructor/,
  ],
  [
    'an operator of another domain',
    (m) => {
      m.graph!.node[2]!.domain = 'com.microsoft'
    },
    'model-invalid',
    /domain "com.microsoft"/,
  ],
  [
    'an operator set that is too old',
    (m) => {
      m.opsetImport[0]!.version = 11n
    },
    'model-invalid',
    /operator set 11; .* 13 to 21/,
  ],
  [
    'an operator set that is too new',
    (m) => {
      m.opsetImport[0]!.version = 99n
    },
    'model-invalid',
    /operator set 99/,
  ],
  [
    'only foreign operator sets',
    (m) => {
      m.opsetImport = [create(OperatorSetIdProtoSchema, { domain: 'x', version: 13n })]
    },
    'model-invalid',
    /operator set 0/,
  ],
  [
    'data in another file',
    (m) => {
      m.graph!.initializer[0]!.dataLocation = 1
      m.graph!.initializer[0]!.externalData = [create(StringStringEntryProtoSchema, { key: 'location', value: '/etc/passwd' })]
    },
    'model-invalid',
    /another file/,
  ],
  ['nodes out of order', (m) => void m.graph!.node.reverse(), 'model-invalid', /before any node makes it/],
  [
    'a cycle',
    (m) => {
      m.graph!.node[0]!.input[0] = m.graph!.node[4]!.output[0]!
    },
    'model-invalid',
    /before any node makes it/,
  ],
  [
    'a value that is made twice',
    (m) => {
      m.graph!.node[1]!.output[0] = m.graph!.node[0]!.output[0]!
    },
    'model-invalid',
    /exists already/,
  ],
  ['functions', (m) => void m.functions.push(new Uint8Array(1)), 'model-invalid', /functions/],
  ['sparse tensors', (m) => void m.graph!.sparseInitializer.push(new Uint8Array(1)), 'model-invalid', /sparse/],
  [
    'a second input',
    (m) => void m.graph!.input.push({ ...m.graph!.input[0]!, name: 'more' }),
    'model-invalid',
    /2 inputs \("input", "more"\).*one input is supported/,
  ],
  ['no nodes', (m) => void m.graph!.node.splice(0), 'model-invalid', /no nodes/],
  [
    'an input that is not float32',
    (m) => {
      const { value } = m.graph!.input[0]!.type!
      if (value.case === 'tensorType') value.value.elemType = 11
    },
    'model-invalid',
    /neither float32 nor int64/,
  ],
  [
    'a tensor of absurd size',
    (m) => {
      m.graph!.initializer[0]!.dims = [1n << 62n, 1n << 62n]
    },
    'model-invalid',
    /too large/,
  ],
  [
    'data that is shorter than its shape',
    (m) => {
      m.graph!.initializer[0]!.rawData = new Uint8Array(8)
    },
    'model-invalid',
    /has 8 bytes of data where .* needs 1600/,
  ],
  [
    'an attribute of a kind that no known operator has',
    (m) => {
      m.graph!.node[0]!.attribute[0]!.type = 10
    },
    'model-invalid',
    /type \(10\)/,
  ],
]

for (const [name, change, code, message] of refused) {
  t.test(`a model with ${name} is refused`, async (t) => {
    t.throws(() => loadModel(changed(change)), { code, message })
  })
}

t.test('weights that do not fit their operator are refused', async (t) => {
  const bytes = changed((m) => {
    m.graph!.initializer[0]!.dims = [16n, 2n, 5n, 5n]
  })
  t.throws(() => modelSignature(bytes), { code: 'model-invalid', message: /conv0.*do not fit/ })
})

t.test('a convolution whose groups do not fit its weights is refused', async (t) => {
  const bytes = changed((m) => {
    Object.assign(m.graph!.node[0]!.attribute[0]!, { name: 'group', type: 2, i: 4n, ints: [] })
  })
  t.throws(() => modelSignature(bytes), { code: 'model-invalid', message: /conv0.*do not fit/ })
})

t.test('bytes beyond the limit are refused before they are parsed', async (t) => {
  const large = new Uint8Array(LIMITS.modelBytes + 1)
  t.throws(() => loadModel(large), { code: 'limit-exceeded', message: /16777217 bytes/ })
})

t.test('a small file that would parse into too many objects is refused', async (t) => {
  // A graph (field 7) of empty nodes (field 1, length 0): two bytes each.
  const nodes = new Uint8Array(2 * (MODEL_FIELDS + 1)).map((_, i) => (i % 2 === 0 ? 0x0a : 0))
  const length: number[] = []
  for (let rest = nodes.length; rest > 0; rest >>>= 7) length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
  t.throws(() => loadModel(Uint8Array.from([0x3a, ...length, ...nodes])), { code: 'limit-exceeded', message: /fields/ })
  // An initializer whose int64_data (field 7) are as many one-byte numbers.
  t.throws(
    () =>
      loadModel(
        changed((m) => {
          m.graph!.initializer[0]!.int64Data = Array(MODEL_FIELDS).fill(1n)
        }),
      ),
    { code: 'limit-exceeded', message: /fields/ },
  )
})

t.test('graphs nested without end are refused', async (t) => {
  let bytes = Uint8Array.of()
  const wrap = (tag: number, inner: Uint8Array) => {
    const head: number[] = [tag]
    for (let rest = inner.length; ; rest >>>= 7) {
      head.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
      if (rest <= 0x7f) break
    }
    return Uint8Array.from([...head, ...inner])
  }
  // attribute.g (6) in node.attribute (5) in graph.node (1)
  for (let i = 0; i < 50; i++) bytes = wrap(0x0a, wrap(0x2a, wrap(0x32, bytes)))
  t.throws(() => loadModel(wrap(0x3a, bytes)), { code: 'limit-exceeded', message: /nests/ })
})

t.test('damaged bytes are refused with a reason, and never crash', async (t) => {
  const attempt = (bytes: Uint8Array) => {
    try {
      modelSignature(bytes)
    } catch (error) {
      return isMurmurError(error) && error.code !== 'internal'
    }
    return true
  }
  t.ok(attempt(new Uint8Array()))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt))
  fc.assert(
    fc.property(fc.nat(HOLLOW.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
      const damaged = HOLLOW.slice()
      damaged[at] = value
      return attempt(damaged)
    }),
    { numRuns: 1000 },
  )
  fc.assert(fc.property(fc.nat(HOLLOW.length), (end) => attempt(HOLLOW.slice(0, end))))
})

t.test('the signature of a model is what one sample is, and its classes are told with the labels', async (t) => {
  const signature = { input: 'float32', inputShape: [1, 28, 28], perPosition: false }
  t.strictSame(modelSignature(HOLLOW), signature)
  t.strictSame(modelSignature(WHOLE), signature)
  const open = changed((m) => {
    const { value } = m.graph!.input[0]!.type!
    if (value.case === 'tensorType') value.value.shape!.dim[2]!.value = { case: 'dimParam', value: 'height' }
  })
  t.strictSame(modelSignature(open), { ...signature, inputShape: [1, null, 28] })
  const target = { kind: 'class', shape: [] } as const
  const classes = (bytes: Uint8Array, shape: number[]) => classesOf(bytes, { kind: 'cross-entropy' }, { shape }, { ...target, shape: [] })
  t.equal(classes(HOLLOW, [1, 28, 28]), 10)
  t.equal(classes(open, [1, 28, 28]), 10)
  t.throws(() => classes(open, [2, 28, 28]), { code: 'model-invalid', message: /\[1, height, 28\], but the data's have \[2, 28, 28\]/ })
})

t.test('a model whose batch is fixed by a reshape says how to export it', async (t) => {
  const fixed = changed((m) => {
    const flatten = m.graph!.node.find(({ opType }) => opType === 'Flatten')!
    flatten.opType = 'Reshape'
    flatten.attribute = []
    flatten.input.push('shape')
    const like = m.graph!.initializer[0]!
    m.graph!.initializer.push({
      ...like,
      name: 'shape',
      dims: [2n],
      dataType: 7,
      rawData: new Uint8Array(BigInt64Array.of(4n, 1568n).buffer),
    })
  })
  t.throws(() => modelSignature(fixed), { code: 'model-invalid', message: /dynamic batch axis/ })
})
