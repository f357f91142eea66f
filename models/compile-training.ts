// A hollow model to a training graph of standard ONNX operators: stock onnxruntime, which has no training API, can run it.
import { MurmurError } from '../protocol/errors.ts'
import { type Layout, layoutSize, sizeOf } from '../protocol/layout.ts'
import { type Builder, createBuilder } from './builder.ts'
import { differentiate } from './differentiate.ts'
import { attachForward, dataInputs, gatherLabels, INDEX, type InputOptions, type LabelType, PARAMS } from './forward.ts'
import { floatTensor, type Graph, TYPE, type ValueInfo } from './graph.ts'
import type { Model } from './load.ts'
import { attachLoss, type LossOptions, scoresOf } from './loss.ts'
import { lower } from './lower.ts'
import { attachUpdate, type OptimizerOptions, optimizerSize } from './optimizer.ts'
import { encodeModel } from './serialize.ts'

export interface TrainingOptions {
  layout: Layout
  loss: LossOptions
  optimizer: OptimizerOptions
  input: InputOptions
  batchSize: number
  labels: LabelType
}

/**
 * K steps in one `Loop` over the flat vector: a run costs the same few microseconds whatever K is, and the numbers are those
 * of K runs of one step, bit for bit.
 *
 * Inputs: `params` f32 [P]; `optimizer` f32 [S], see optimizerSize; `x` [samples, ...input.shape] of input.dtype; `y` int32 or int64
 * [samples]; `index` int32 [K, batchSize], the rows of each step; `lr` f32 [K]; with `proximal` also `anchor` f32 [P].
 * Outputs: `new_params`, `new_optimizer`, `losses` f32 [K], each step's mean over its batch.
 * @returns ONNX bytes
 * @throws model-invalid, operator-unsupported, task-unsupported
 */
export function compileTraining(model: Model, options: TrainingOptions): Uint8Array {
  const size = layoutSize(options.layout)
  const state = optimizerSize(options.optimizer, size)
  const vector = (name: string, length: number): ValueInfo => ({ name, type: TYPE.float32, dims: [length] })
  const b = createBuilder('outer_')
  const steps = b.op('Gather', [b.op('Shape', [INDEX]), b.ints([0], [])])
  const body = trainingStep(model, options, size, state)
  const outputs = ['new_params', 'new_optimizer', 'losses']
  b.add({ op: 'Loop', name: 'steps', inputs: [steps, '', PARAMS, 'optimizer'], outputs, attributes: { body: { graph: body } } })
  return encodeModel({
    name: 'training',
    inputs: [
      vector(PARAMS, size),
      vector('optimizer', state),
      ...dataInputs(options.input, options.labels),
      { name: INDEX, type: TYPE.int32, dims: ['steps', options.batchSize] },
      { name: 'lr', type: TYPE.float32, dims: ['steps'] },
      ...(options.optimizer.proximal > 0 ? [vector('anchor', size)] : []),
    ],
    outputs: [vector('new_params', size), vector('new_optimizer', state), { name: 'losses', type: TYPE.float32, dims: ['steps'] }],
    nodes: b.nodes,
    constants: b.constants,
  })
}

/** The loop's body. It reads x, y, index, lr and anchor from the graph around it. */
function trainingStep(model: Model, options: TrainingOptions, size: number, state: number): Graph {
  const { layout, batchSize } = options
  if (layout.some(({ segment }) => segment === 'stats')) {
    throw new MurmurError('task-unsupported', 'The model keeps running statistics, which this version of Murmuration does not have.')
  }
  const lowered = lower(model, batchSize)
  const b = createBuilder()
  const rows = b.op('Gather', [INDEX, 'step'], { axis: { int: 0 } })
  attachForward(b, lowered, { layout, input: options.input, params: 'w', rows })
  const loss = attachLoss(b, options.loss, scoresOf(lowered), gatherLabels(b, rows), batchSize)
  const wanted = new Set(lowered.parameters.values())
  const gradients = differentiate(lowered, b, loss.value, loss.grad, wanted)
  const grad = flatten(b, layout, (name) => gradients.get(lowered.parameters.get(name)!))
  const learningRate = b.op('Gather', ['lr', 'step'], { axis: { int: 0 } })
  const next = attachUpdate(b, options.optimizer, { params: 'w', state: 'state', grad, learningRate, anchor: 'anchor' })
  const mean = b.op('ReduceMean', [loss.each], { keepdims: { int: 0 } })
  const output = (name: string, value: string, dims: number[], type: ValueInfo['type'] = TYPE.float32): ValueInfo => {
    b.add({ op: 'Identity', name, inputs: [value], outputs: [name], attributes: {} })
    return { name, type, dims }
  }
  const outputs = [
    output('go_on', 'go', [], TYPE.bool),
    output('next_w', next.params, [size]),
    output('next_state', next.state, [state]),
    output('loss', mean, []),
  ]
  return {
    name: 'step',
    inputs: [
      { name: 'step', type: TYPE.int64, dims: [] },
      { name: 'go', type: TYPE.bool, dims: [] },
      { name: 'w', type: TYPE.float32, dims: [size] },
      { name: 'state', type: TYPE.float32, dims: [state] },
    ],
    outputs,
    nodes: b.nodes,
    constants: b.constants,
  }
}

/** One vector of the layout's order; zero for what the loss does not depend on. */
function flatten(b: Builder, layout: Layout, gradientOf: (name: string) => string | undefined): string {
  const flat = layout.map(({ name, shape }) => {
    const gradient = gradientOf(name)
    const length = sizeOf(shape)
    return gradient === undefined
      ? b.tensor(floatTensor(new Float32Array(length), [length]))
      : b.op('Reshape', [gradient, b.ints([length])])
  })
  return flat.length === 1 ? flat[0]! : b.op('Concat', flat, { axis: { int: 0 } })
}
