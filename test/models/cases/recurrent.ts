// Gradient cases: recurrent layers.
import fc from 'fast-check'
import type { Parts } from '../helpers.ts'
import { type Attributes, batched, type Case, still, whole } from './case.ts'

const GATES = { RNN: 1, GRU: 3, LSTM: 4 } as const
type Layer = keyof typeof GATES
type Direction = 'forward' | 'reverse' | 'bidirectional'

interface Options {
  layer: Layer
  direction?: Direction
  hidden?: number
  bias?: boolean
  /** Initial states of the batch `batch`. */
  initial?: boolean
  attributes?: Attributes
}

const SIZE = 2

/** All inputs of a layer behind X, for a batch of `batch` samples. */
function inputs(
  { weight }: Parts,
  { layer, direction = 'forward', hidden = 2, bias = true, initial = false }: Options,
  batch: number,
): string[] {
  const [directions, rows] = [direction === 'bidirectional' ? 2 : 1, GATES[layer] * hidden]
  const list = [
    weight('W', [directions, rows, SIZE]),
    weight('R', [directions, rows, hidden]),
    bias ? weight('B', [directions, 2 * rows]) : '',
    '',
    initial ? weight('h0', [directions, batch, hidden]) : '',
    ...(layer === 'LSTM' ? [initial ? weight('c0', [directions, batch, hidden]) : ''] : []),
  ]
  return list.slice(0, list.findLastIndex((name) => name !== '') + 1)
}

function run(parts: Parts, options: Options, x: string, batch: number): string[] {
  const { layer, direction = 'forward', hidden = 2, attributes = {} } = options
  return parts.b.ops(layer, [x, ...inputs(parts, options, batch)], layer === 'LSTM' ? 3 : 2, {
    ...whole({ hidden_size: hidden, direction }),
    ...attributes,
  })
}

const titleOf = (options: Options) => JSON.stringify(options)

/** All outputs of a layer on weights of its own, joined. */
function alone(options: Options): Case {
  return still(`${options.layer} ${titleOf(options)}`, (parts) => {
    const { b } = parts
    const flat = run(parts, options, parts.weight('x', [3, 2, SIZE]), 2).map((name) => b.op('Reshape', [name, b.ints([-1])]))
    return b.op('Concat', flat, whole({ axis: 0 }))
  })
}

/** One output only, as most models use them. */
function single(options: Options, output: number): Case {
  return still(
    `${options.layer} with only output ${output} used ${titleOf(options)}`,
    (parts) => run(parts, options, parts.weight('x', [3, 2, SIZE]), 2)[output]!,
  )
}

/** As PyTorch exports a layer whose batch comes first: initial states of zeros, made from the input's shape. */
function exported(layer: Layer): Case {
  return batched(`${layer} as PyTorch exports it`, [3, SIZE], (parts, x) => {
    const { b } = parts
    const steps = b.op('Transpose', [x], whole({ perm: [1, 0, 2] }))
    const batch = b.op('Unsqueeze', [b.op('Gather', [b.op('Shape', [steps]), b.ints([1], [])]), b.ints([0])])
    const zeros = b.op('ConstantOfShape', [b.op('Concat', [b.ints([1]), batch, b.ints([2])], whole({ axis: 0 }))])
    const weights = inputs(parts, { layer }, 0)
    const states = layer === 'LSTM' ? ['', zeros, zeros] : ['', zeros]
    const attributes = { ...whole({ hidden_size: 2 }), ...(layer === 'GRU' && whole({ linear_before_reset: 1 })) }
    const [y] = b.ops(layer, [steps, ...weights.slice(0, 3), ...states], layer === 'LSTM' ? 3 : 2, attributes)
    const last = b.op('Gather', [b.op('Squeeze', [y!, b.ints([1])]), b.ints([-1], [])])
    return b.op('Mul', [last, parts.weight('out', [2])])
  })
}

const LAYERS: Layer[] = ['RNN', 'GRU', 'LSTM']
const strings = (...strings: string[]): Attributes[string] => ({ strings })

export const RECURRENT: Case[] = [
  ...LAYERS.flatMap((layer) => [
    alone({ layer }),
    alone({ layer, direction: 'reverse', initial: true }),
    alone({ layer, direction: 'bidirectional', bias: false }),
    single({ layer, initial: true }, 0),
    single({ layer, direction: 'bidirectional', hidden: 3 }, 1),
    exported(layer),
  ]),
  single({ layer: 'LSTM', initial: true }, 2),
  alone({ layer: 'GRU', attributes: whole({ linear_before_reset: 1 }), direction: 'bidirectional', initial: true }),
  alone({ layer: 'RNN', attributes: { activations: strings('Relu') } }),
  alone({ layer: 'RNN', attributes: { activations: strings('Relu', 'Tanh') }, direction: 'bidirectional' }),
]

export const anyRecurrent: fc.Arbitrary<Case> = fc
  .record({
    layer: fc.constantFrom(...LAYERS),
    direction: fc.constantFrom<Direction>('forward', 'reverse', 'bidirectional'),
    hidden: fc.integer({ min: 1, max: 3 }),
    bias: fc.boolean(),
    initial: fc.boolean(),
    linear: fc.nat(1),
  })
  .map(({ linear, ...options }) =>
    alone({ ...options, ...(options.layer === 'GRU' && { attributes: whole({ linear_before_reset: linear }) }) }),
  )
