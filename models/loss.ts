// Losses, attached to a model's end together with their gradient. A Softmax or Sigmoid that ends the model is part of the loss:
// the logarithm of either loses all precision where its argument is large. Definitions are PyTorch's, means over the batch.
import { sizeOf } from '../protocol/layout.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Builder } from './builder.ts'
import { checkTarget, type TargetOptions } from './forward.ts'
import { describeNode, floatTensor, intAttribute, invalid, type Node, TYPE } from './graph.ts'
import type { Lowered } from './lower.ts'
import { axisOf } from './operators/arguments.ts'
import { toFloat } from './operators/elementwise.ts'
import type { Shape } from './operators/index.ts'

export type LossOptions = Manifest['loss']

export interface Loss {
  /** The model's value that the loss reads, and dL/d that value. */
  value: string
  grad: string
  /** The batch's loss, a scalar: sum(losses) / sum(weights). */
  mean: string
  /** Sums over each sample, [batch]: weighted losses, and what they are divided by. */
  losses: string
  weights: string
  /** What the loss reads, flat: [labels, classes], or [labels]. */
  scores: string
  /** 1 or 0 for each label, [labels]: whether it counts at all. */
  counted: string | undefined
}

/** What the loss reads of a model. */
export interface Head {
  value: string
  /** The batch's labels: batch times labels of a sample. */
  rows: number
  /** Of the model's output, of which `value` may be another shape. */
  shape: Shape
  /** For classes: along which axis of `shape` they lie, and how many there are. */
  axis: number
  classes: number
  /** The last operator, where the loss contains it. */
  fused: Node | undefined
}

const SHAPE_ONLY: readonly string[] = ['Reshape', 'Identity']

/** @param target of the task; without `size`, the model's own number of classes. @throws model-invalid where the output does not fit */
export function headOf(lowered: Lowered, loss: LossOptions, target: Omit<TargetOptions, 'size'> & { size?: number }): Head {
  const { nodes, shapes, output, input } = lowered
  const batch = shapes.get(input)![0]!
  const shape = shapes.get(output)!
  const fits = (what: string) =>
    invalid(
      `For a batch of ${batch} the model's output has the shape [${shape.join(', ')}]; ${what}. If the first dimension is not ${batch}, export the model with a dynamic batch axis.`,
    )
  const rows = batch * sizeOf(target.shape)
  if (loss.kind !== 'cross-entropy') {
    if (sizeOf(shape) !== rows) throw fits(`the labels need [${[batch, ...target.shape].join(', ')}]`)
    const [value, fused] = loss.kind === 'bce' ? beforeLast(nodes, output, (node) => node.op === 'Sigmoid') : [output, undefined]
    return { value, rows, shape, axis: -1, classes: 1, fused }
  }
  const axis = classAxis(shape, batch, target.shape)
  const wanted =
    target.shape.length === 0 ? `[${batch}, classes]` : `[${[batch, ...target.shape, 'classes'].join(', ')}] or classes as the second`
  if (axis === undefined || shape[axis]! < 2) throw fits(`a classifier needs ${wanted}`)
  if (target.size !== undefined && target.size !== shape[axis]) {
    throw invalid(`The model tells ${shape[axis]} classes, but the task has ${target.size}.`)
  }
  // Over the same numbers, whatever the shape around them: as many classes, equally far apart.
  const isFinal = (node: Node) => {
    const dims = shapes.get(node.outputs[0]!)!
    const at = axisOf(node, intAttribute(node, 'axis', -1), dims.length)
    const isOverClasses = dims[at] === shape[axis] && sizeOf(dims.slice(at)) === sizeOf(shape.slice(axis))
    return ['Softmax', 'LogSoftmax'].includes(node.op) && isOverClasses
  }
  const [value, fused] = beforeLast(nodes, output, isFinal)
  return { value, rows, shape, axis, classes: shape[axis]!, fused }
}

/** [batch, ...labels, classes], [batch, classes, ...labels], or all labels in one axis. Where both of the first fit, the first. */
function classAxis(shape: Shape, batch: number, labels: Shape): number | undefined {
  const same = (dims: Shape) => dims.join() === [batch, ...labels].join()
  const last = shape.length - 1
  if (last >= 1 && same(shape.slice(0, -1))) return last
  if (last >= 1 && same([shape[0]!, ...shape.slice(2)])) return 1
  if (last === 1 && shape[0] === batch * sizeOf(labels)) return 1
  return undefined
}

/** The input of the last node where `matches`, seen through changes of shape; else the output. */
function beforeLast(nodes: readonly Node[], output: string, matches: (node: Node) => boolean): [string, Node | undefined] {
  let name = output
  // Each node's inputs are made before it.
  for (const node of nodes.toReversed()) {
    if (node.outputs[0] !== name) continue
    if (matches(node)) return [node.inputs[0]!, node]
    if (!SHAPE_ONLY.includes(node.op)) break
    name = node.inputs[0]!
  }
  return [output, undefined]
}

/** One sentence where the loss takes the place of the model's last operator. */
export const fusionNote = ({ fused }: Head, loss: LossOptions): string | undefined =>
  fused &&
  `The model ends in ${describeNode(fused)}: the loss ${loss.kind} is computed from what goes into it, which is the same and keeps its precision.`

/** @param labels flat, as gatherLabels yields them. @throws task-unsupported, model-invalid */
export function attachLoss(b: Builder, lowered: Lowered, loss: LossOptions, target: TargetOptions, labels: string): Loss {
  checkTarget(loss, target)
  const head = headOf(lowered, loss, target)
  const batch = lowered.shapes.get(lowered.input)![0]!
  const shape = lowered.shapes.get(head.value)!
  return loss.kind === 'cross-entropy'
    ? crossEntropy(b, loss, head, shape, labels, batch)
    : elementwise(b, loss, head, shape, labels, batch)
}

const KEEP = { keepdims: { int: 1 } } as const
const DROP = { keepdims: { int: 0 } } as const

/** Sums [labels] over the labels of each sample. */
const bySample = (b: Builder, value: string, rows: number, batch: number): string =>
  rows === batch ? value : b.op('ReduceSum', [b.op('Reshape', [value, b.ints([batch, -1])]), b.ints([1])], DROP)

/**
 * Per label L = -sum_c T_c log p_c with T = (1 - s) w_y onehot(y) + s / C w, s the smoothing, w the class weights; the batch's is
 * sum(L) / sum(w_y), ignored labels left out (torch.nn.CrossEntropyLoss). dL/dlogits = (sum_c T p - T) / sum(w_y).
 */
function crossEntropy(
  b: Builder,
  loss: LossOptions,
  { value, shape, axis, rows, classes }: Head,
  valueShape: Shape,
  labels: string,
  batch: number,
): Loss {
  const { classWeights, ignoreIndex, labelSmoothing = 0 } = loss
  if (classWeights !== undefined && classWeights.length !== classes) {
    throw invalid(`The loss has ${classWeights.length} class weights, but the model tells ${classes} classes.`)
  }
  const isLast = axis === shape.length - 1
  const middle = [shape[0]!, classes, sizeOf(shape) / shape[0]! / classes]
  const turn = (from: string) => b.op('Transpose', [from], { perm: { ints: [0, 2, 1] } })
  const toRows = (from: string) => b.op('Reshape', [isLast ? from : turn(b.op('Reshape', [from, b.ints(middle)])), b.ints([rows, classes])])
  const fromRows = (grad: string) => {
    const placed = isLast ? grad : turn(b.op('Reshape', [grad, b.ints([middle[0]!, middle[2]!, classes])]))
    return b.op('Reshape', [placed, b.ints(valueShape)])
  }
  const isFlat = isLast && valueShape.join() === [rows, classes].join()
  const scores = isFlat ? value : toRows(value)

  const counted = ignoreIndex === undefined ? undefined : toFloat(b, b.op('Not', [b.op('Equal', [labels, b.ints([ignoreIndex], [])])]))
  // An ignored id may be no class at all; class 0 stands in, with no weight.
  const ids = counted === undefined ? labels : b.op('Mul', [labels, b.op('Cast', [counted], { to: { int: TYPE.int64 } })])
  const base = labelSmoothing / classes
  const onehot = b.op('OneHot', [ids, b.ints([classes], []), b.tensor(floatTensor([base, 1 - labelSmoothing + base], [2]))])
  const perClass = classWeights && b.tensor(floatTensor(classWeights, [classes]))
  // w_y off the smoothed part would be wrong there: with weights the two parts of T are made apart.
  const plain = perClass && b.op('OneHot', [ids, b.ints([classes], []), b.tensor(floatTensor([0, 1 - labelSmoothing], [2]))])
  const weightOf = perClass && b.op('Gather', [perClass, ids], { axis: { int: 0 } })
  const weight = weightOf && counted ? b.op('Mul', [weightOf, counted]) : (weightOf ?? counted)
  const column = (row: string) => b.op('Unsqueeze', [row, b.ints([1])])

  let targets = onehot
  if (perClass !== undefined) {
    const smoothed = b.op('Mul', [perClass, b.scalar(base)])
    targets = b.op('Add', [b.op('Mul', [plain!, column(weightOf!)]), smoothed])
  }
  if (counted !== undefined) targets = b.op('Mul', [targets, column(counted)])

  const logs = b.op('LogSoftmax', [scores], { axis: { int: 1 } })
  const each = b.op('Neg', [b.op('ReduceSum', [b.op('Mul', [targets, logs]), b.ints([1])], DROP)])
  const chances = b.op('Exp', [logs])
  // Without weights and ignored labels each row of T sums to one.
  const expected = weight === undefined ? chances : b.op('Mul', [chances, b.op('ReduceSum', [targets, b.ints([1])], KEEP)])
  const total = weight === undefined ? b.scalar(rows) : oneForZero(b, b.op('ReduceSum', [weight], DROP))
  const grad = b.op('Div', [b.op('Sub', [expected, targets]), total])
  return {
    value,
    grad: isFlat ? grad : fromRows(grad),
    mean: b.op('Div', [b.op('ReduceSum', [each], DROP), total]),
    losses: bySample(b, each, rows, batch),
    weights: weight === undefined ? sizes(b, rows, batch) : bySample(b, weight, rows, batch),
    scores,
    counted,
  }
}

/** Keeps the mean finite where no label of a batch counts. */
const oneForZero = (b: Builder, sum: string): string => b.op('Add', [sum, toFloat(b, b.op('Equal', [sum, b.scalar(0)]))])

/** Labels of each sample, as a constant. */
const sizes = (b: Builder, rows: number, batch: number): string =>
  b.tensor(floatTensor(new Float32Array(batch).fill(rows / batch), [batch]))

/** The mean over all labels of a function of score z and label t. */
function elementwise(b: Builder, loss: LossOptions, { value, rows }: Head, shape: Shape, labels: string, batch: number): Loss {
  const scores = shape.length === 1 ? value : b.op('Reshape', [value, b.ints([rows])])
  const { each, slope } = loss.kind === 'bce' ? binary(b, loss, scores, labels) : distance(b, loss, scores, labels)
  const grad = b.op('Mul', [slope, b.scalar(1 / rows)])
  return {
    value,
    grad: shape.length === 1 ? grad : b.op('Reshape', [grad, b.ints(shape)]),
    mean: b.op('ReduceMean', [each], DROP),
    losses: bySample(b, each, rows, batch),
    weights: sizes(b, rows, batch),
    scores,
    counted: undefined,
  }
}

/**
 * softplus(z) - z t, slope sigmoid(z) - t (torch.nn.BCEWithLogitsLoss). Labels smoothed towards 1/2; class weights [w0, w1] weigh
 * t = 0 and t = 1, so [1, w] is PyTorch's pos_weight.
 */
function binary(b: Builder, { labelSmoothing = 0, classWeights }: LossOptions, z: string, labels: string) {
  if (classWeights !== undefined && classWeights.length !== 2) {
    throw invalid(`The loss bce has ${classWeights.length} class weights; it takes two, for 0 and for 1.`)
  }
  const smooth = (t: string) => b.op('Add', [b.op('Mul', [t, b.scalar(1 - labelSmoothing)]), b.scalar(labelSmoothing / 2)])
  const t = labelSmoothing === 0 ? labels : smooth(labels)
  const zero = b.scalar(0)
  // log(1 + e^-|z|) + max(z, 0): neither part can overflow.
  const tail = b.op('Log', [b.op('Add', [b.op('Exp', [b.op('Neg', [b.op('Abs', [z])])]), b.scalar(1)])])
  const softplus = b.op('Add', [b.op('Max', [z, zero]), tail])
  if (classWeights === undefined) {
    return { each: b.op('Sub', [softplus, b.op('Mul', [z, t])]), slope: b.op('Sub', [b.op('Sigmoid', [z]), t]) }
  }
  const [w0 = 1, w1 = 1] = classWeights
  // w1 t (softplus(z) - z) + w0 (1 - t) softplus(z)
  const positive = b.op('Mul', [t, b.scalar(w1)])
  const negative = b.op('Mul', [b.op('Sub', [b.scalar(1), t]), b.scalar(w0)])
  const both = b.op('Add', [positive, negative])
  return {
    each: b.op('Sub', [b.op('Mul', [both, softplus]), b.op('Mul', [positive, z])]),
    slope: b.op('Sub', [b.op('Mul', [both, b.op('Sigmoid', [z])]), positive]),
  }
}

/** Squared, absolute and Huber's distance (torch.nn.MSELoss, L1Loss, HuberLoss), with their slopes. */
function distance(b: Builder, { kind, huberDelta = 1 }: LossOptions, z: string, t: string) {
  const d = b.op('Sub', [z, t])
  if (kind === 'mse') return { each: b.op('Mul', [d, d]), slope: b.op('Mul', [d, b.scalar(2)]) }
  if (kind === 'l1') return { each: b.op('Abs', [d]), slope: b.op('Sign', [d]) }
  // With c = d clipped to delta: c (d - c/2).
  const c = b.op('Clip', [d, b.scalar(-huberDelta), b.scalar(huberDelta)])
  return { each: b.op('Mul', [c, b.op('Sub', [d, b.op('Mul', [c, b.scalar(0.5)])])]), slope: c }
}
