// What a model is and how it would be trained, for people.
import type { Segment } from '../protocol/layout.ts'
import type { InputOptions, TargetOptions } from './forward.ts'
import { describeNode, intAttribute, type Node, TYPE, type ValueInfo } from './graph.ts'
import { loadModel, type Model } from './load.ts'
import { fusionNote, headOf, type LossOptions } from './loss.ts'
import { lower, sampleShape, trialBatch } from './lower.ts'

export interface ModelDescription {
  input: ValueInfo
  outputs: readonly ValueInfo[]
  /** Tensors that are trained or follow the batches, in the order of the flat vector. */
  parameters: { name: string; shape: number[]; segment: Segment }[]
  /** float32 tensors that stay as they are. */
  fixed: { name: string; shape: number[] }[]
  /** Nodes of each operator. */
  operators: Record<string, number>
}

/** @param graph a hollow model, see splitWeights */
export function describeModel(graph: Uint8Array): ModelDescription {
  const model = loadModel(graph)
  const operators: Record<string, number> = Object.create(null)
  for (const { op } of model.graph.nodes) operators[op] = (operators[op] ?? 0) + 1
  return {
    input: model.input,
    outputs: model.graph.outputs,
    parameters: model.layout.map(({ name, shape, segment }) => ({ name, shape, segment })),
    fixed: [...model.graph.constants]
      .filter(([, { type, data }]) => type === TYPE.float32 && data !== undefined)
      .map(([name, { dims }]) => ({ name, shape: [...dims] })),
    operators,
  }
}

export interface Task {
  loss: LossOptions
  input: InputOptions
  target: TargetOptions
}

/** Sentences on what training does that a user may not expect. @throws model-invalid */
export function trainingNotes(graph: Uint8Array, { loss, input, target }: Task): string[] {
  const model = loadModel(graph)
  const lowered = lower(model, { batch: trialBatch(model, input.shape), sample: input.shape, training: true })
  const statistics = new Set(model.layout.filter(({ segment }) => segment === 'stats').map(({ name }) => name))
  const frozen = model.graph.nodes.filter((node) => node.op === 'BatchNormalization' && isFrozen(node, statistics))
  const [first, ...others] = model.graph.outputs
  return [
    fusionNote(headOf(lowered, loss, target), loss),
    frozen.length > 0 &&
      `${frozen.length === 1 ? describeNode(frozen[0]!) : `${frozen.length} BatchNormalizations`} keep their statistics, since the model was exported for inference; export it in training mode to train them.`,
    others.length > 0 && `The model has ${others.length + 1} outputs; "${first!.name}", the first, is what is trained.`,
  ].filter((note) => typeof note === 'string')
}

const isFrozen = (node: Node, statistics: ReadonlySet<string>): boolean =>
  node.outputs.length === 1 && intAttribute(node, 'training_mode', 0) === 0 && !statistics.has(node.inputs[3] ?? '')

/**
 * A task that suits the model, for trying it without data: labels as the output's shape suggests, dimensions that the model leaves
 * open as `sample` says.
 */
export function suitableTask(model: Model, loss: LossOptions, sample?: readonly number[]): Task {
  const shape = sampleShape(model, sample)
  const { shapes, output } = lower(model, { batch: trialBatch(model, shape), sample: shape, training: false })
  const dims = shapes.get(output)!
  const dtype = model.input.type === TYPE.float32 ? 'float32' : 'int64'
  const input: InputOptions = { dtype, shape, scale: 1, offset: 0 }
  if (loss.kind !== 'cross-entropy') {
    const size = dims.slice(1).reduce((product, dim) => product * dim, 1)
    return { loss, input, target: { kind: loss.kind === 'bce' ? 'binary' : 'number', size, shape: dims.slice(1) } }
  }
  // Text has its classes last, [batch, positions, classes]; images behind the batch, [batch, classes, height, width].
  const labels = dims.length <= 3 ? dims.slice(1, -1) : dims.slice(2)
  const kind = labels.length === 0 ? 'class' : 'tokens'
  const size = dims.length <= 3 ? dims.at(-1)! : dims[1]!
  return { loss, input, target: { kind, size, shape: labels } }
}
