// A hollow model to a training graph of standard ONNX operators: stock onnxruntime, which has no training API, can run it.
import { type Layout, type LayoutEntry, layoutSize, sizeOf } from '../protocol/layout.ts'
import { type Builder, createBuilder } from './builder.ts'
import { differentiate } from './differentiate.ts'
import { attachForward, dataInputs, gatherLabels, INDEX, type InputOptions, PARAMS, type TargetOptions } from './forward.ts'
import { floatTensor, type Graph, TYPE, type ValueInfo } from './graph.ts'
import type { Model } from './load.ts'
import { attachLoss, type LossOptions } from './loss.ts'
import { checkBatch, type Lowered, lower, SEED } from './lower.ts'
import { attachUpdate, type OptimizerOptions, optimizerState } from './optimizer.ts'
import { encodeModel } from './serialize.ts'
import { prune } from './simplify.ts'

export interface TrainingOptions {
  loss: LossOptions
  optimizer: OptimizerOptions
  input: InputOptions
  target: TargetOptions
  batchSize: number
}

export interface CompiledTraining {
  /** ONNX. */
  bytes: Uint8Array
  /** Floats of optimizer state. */
  optimizerSize: number
  /** True where the graph has the input `seeds`. */
  random: boolean
}

/**
 * K steps in one `Loop` over the flat vector: a run costs the same few microseconds whatever K is, and the numbers are those
 * of K runs of one step, bit for bit.
 *
 * Inputs: `params` f32 [P]; `optimizer` f32 [S], zeros at first; `x` [samples, ...input.shape] of input.dtype (int32 for int64); `y`
 * [samples, ...target.shape], int32 ids or float32 numbers; `index` int32 [K, batchSize], the rows of each step; `lr` f32 [K]; `halt`
 * f32 [], 0 to go on: it is read before each step, so that another thread may raise it in shared memory; where `random`, `seeds` int64
 * [K]; with `proximal` also `anchor` f32 [P].
 * Outputs: `new_params`, `new_optimizer`, and `losses` f32 [steps run], each step's mean over its batch. The loop ends early once
 * `halt` is not 0, or after a loss that is not finite.
 * @param model hollow, see splitWeights
 * @throws model-invalid, operator-unsupported, task-unsupported
 */
export function compileTraining(model: Model, options: TrainingOptions): CompiledTraining {
  const { layout } = model
  checkBatch(model, options.batchSize, options.input.shape)
  const lowered = lower(model, { batch: options.batchSize, sample: options.input.shape, training: true })
  const size = layoutSize(layout)
  const trained = trainedRuns(layout, lowered)
  const state = optimizerState(options.optimizer, runsSize(trained))
  const optimizerSize = state.reduce((sum, length) => sum + length, 0)
  const vector = (name: string, length: number | string): ValueInfo => ({ name, type: TYPE.float32, dims: [length] })

  const b = createBuilder('outer_')
  const steps = b.op('Gather', [b.op('Shape', [INDEX]), b.ints([0], [])])
  const pieces = state.length > 1 ? b.ops('Split', ['optimizer', b.ints(state)], state.length, { axis: { int: 0 } }) : ['optimizer']
  const carried = state.map((_, i) => `outer_state_${i}`)
  const body = trainingStep(model, lowered, options, trained, state)
  const inputs = [steps, '', PARAMS, ...pieces.slice(0, state.length)]
  b.add({ op: 'Loop', name: 'steps', inputs, outputs: ['new_params', ...carried, 'losses'], attributes: { body: { graph: body } } })
  const joined = carried.length > 1 ? b.op('Concat', carried, { axis: { int: 0 } }) : (carried[0] ?? 'optimizer')
  b.add({ op: 'Identity', name: 'optimizer', inputs: [joined], outputs: ['new_optimizer'], attributes: {} })
  const bytes = encodeModel({
    name: 'training',
    inputs: [
      vector(PARAMS, size),
      vector('optimizer', optimizerSize),
      ...dataInputs(options.input, options.target),
      { name: INDEX, type: TYPE.int32, dims: ['steps', options.batchSize] },
      vector('lr', 'steps'),
      { name: 'halt', type: TYPE.float32, dims: [] },
      ...(lowered.random ? [{ name: 'seeds', type: TYPE.int64, dims: ['steps'] }] : []),
      ...(options.optimizer.proximal > 0 ? [vector('anchor', size)] : []),
    ],
    outputs: [vector('new_params', size), vector('new_optimizer', optimizerSize), vector('losses', 'ran')],
    nodes: b.nodes,
    constants: b.constants,
  })
  return { bytes, optimizerSize, random: lowered.random }
}

/** The loop's body. It reads x, y, index, lr, halt, seeds and anchor from the graph around it. */
function trainingStep(model: Model, lowered: Lowered, options: TrainingOptions, trained: readonly Run[], state: readonly number[]): Graph {
  const { layout } = model
  const size = layoutSize(layout)
  const b = createBuilder()
  const ofStep = (values: string) => b.op('Gather', [values, 'step'], { axis: { int: 0 } })
  const rows = ofStep(INDEX)
  if (lowered.random) b.add({ op: 'Gather', name: 'seed', inputs: ['seeds', 'step'], outputs: [SEED], attributes: { axis: { int: 0 } } })
  attachForward(b, lowered, { layout, input: options.input, params: 'w', rows })
  const loss = attachLoss(b, lowered, options.loss, options.target, gatherLabels(b, rows, options.target))
  const entries = trained.flatMap((run) => run.entries)
  const wanted = new Set(entries.map(({ name }) => lowered.parameters.get(name)!))
  const gradients = differentiate(lowered, b, loss.value, loss.grad, wanted)
  const states = state.map((_, i) => `state_${i}`)
  const next = attachUpdate(b, options.optimizer, {
    params: takeRuns(b, 'w', trained, size),
    state: states,
    grad: flatten(b, entries, (name) => gradients.get(lowered.parameters.get(name)!)),
    learningRate: ofStep('lr'),
    anchor: options.optimizer.proximal > 0 ? takeRuns(b, 'anchor', trained, size) : '',
  })
  // NaN and infinity times zero are NaN, which equals nothing.
  const halted = b.op('Add', [b.op('Mul', [loss.mean, b.scalar(0)]), 'halt'])
  const output = (name: string, value: string, dims: number[], type: ValueInfo['type'] = TYPE.float32): ValueInfo => {
    b.add({ op: 'Identity', name, inputs: [value], outputs: [name], attributes: {} })
    return { name, type, dims }
  }
  const outputs = [
    output('go_on', b.op('Equal', [halted, b.scalar(0)]), [], TYPE.bool),
    output('next_w', putRuns(b, next.params, trained, layout, lowered), [size]),
    ...state.map((length, i) => output(`next_state_${i}`, next.state[i]!, [length])),
    output('loss', loss.mean, []),
  ]
  return {
    name: 'step',
    inputs: [
      { name: 'step', type: TYPE.int64, dims: [] },
      { name: 'go', type: TYPE.bool, dims: [] },
      { name: 'w', type: TYPE.float32, dims: [size] },
      ...state.map((length, i) => ({ name: states[i]!, type: TYPE.float32, dims: [length] })),
    ],
    outputs,
    // Gradients are written operator by operator; some turn out not to be needed.
    nodes: prune(
      b.nodes,
      outputs.map(({ name }) => name),
    ),
    constants: b.constants,
  }
}

/** Neighbours in the flat vector that the optimizer moves. */
interface Run {
  start: number
  end: number
  entries: LayoutEntry[]
}

/** All but running statistics, which follow the batches instead. A model without them is a single run. */
function trainedRuns(layout: Layout, { updates }: Lowered): Run[] {
  const runs: Run[] = []
  for (const entry of layout) {
    if (isStatistic(entry, updates)) continue
    const end = entry.offset + sizeOf(entry.shape)
    const last = runs.at(-1)
    if (last?.end === entry.offset) {
      last.end = end
      last.entries.push(entry)
    } else runs.push({ start: entry.offset, end, entries: [entry] })
  }
  return runs
}

const isStatistic = ({ name, segment }: LayoutEntry, updates: Lowered['updates']): boolean => segment === 'stats' || updates.has(name)

const runsSize = (runs: readonly Run[]): number => runs.reduce((sum, { start, end }) => sum + end - start, 0)

/** The runs' part of a whole vector. */
function takeRuns(b: Builder, vector: string, runs: readonly Run[], size: number): string {
  if (runs.length === 1 && runsSize(runs) === size) return vector
  return concat(
    b,
    runs.map(({ start, end }) => b.op('Slice', [vector, b.ints([start]), b.ints([end])])),
  )
}

/** The whole vector after a step: the moved runs, and between them the statistics. */
function putRuns(b: Builder, moved: string, runs: readonly Run[], layout: Layout, { updates, parameters }: Lowered): string {
  const still = layout.filter((entry) => !runs.some(({ entries }) => entries.includes(entry)))
  if (still.length === 0) return moved
  const pieces =
    runs.length === 1
      ? [moved]
      : b.ops('Split', [moved, b.ints(runs.map(({ start, end }) => end - start))], runs.length, { axis: { int: 0 } })
  const placed = [
    ...runs.map(({ start }, i) => ({ start, value: pieces[i]! })),
    ...still.map(({ name, offset, shape }) => ({
      start: offset,
      value: b.op('Reshape', [updates.get(name) ?? parameters.get(name)!, b.ints([sizeOf(shape)])]),
    })),
  ]
  return concat(
    b,
    placed.sort((x, y) => x.start - y.start).map(({ value }) => value),
  )
}

/** One vector of the entries' order; zero for what the loss does not depend on. */
function flatten(b: Builder, entries: readonly LayoutEntry[], gradientOf: (name: string) => string | undefined): string {
  return concat(
    b,
    entries.map(({ name, shape }) => {
      const gradient = gradientOf(name)
      const length = sizeOf(shape)
      return gradient === undefined
        ? b.tensor(floatTensor(new Float32Array(length), [length]))
        : b.op('Reshape', [gradient, b.ints([length])])
    }),
  )
}

const concat = (b: Builder, vectors: readonly string[]): string =>
  vectors.length === 1 ? vectors[0]! : b.op('Concat', vectors, { axis: { int: 0 } })
