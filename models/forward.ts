// The part that training and evaluation share: unpack the flat vector, gather a batch, run the model.
import { MurmurError } from '../protocol/errors.ts'
import { type Layout, sizeOf } from '../protocol/layout.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Builder } from './builder.ts'
import { byRules, invalid, TYPE, type ValueInfo } from './graph.ts'
import type { Lowered } from './lower.ts'
import { OPERATORS } from './operators/index.ts'
import type { EmitContext } from './operators/types.ts'

export type InputOptions = Manifest['data']['input']
export type TargetOptions = Manifest['data']['target']

/** The values a compiled graph reads, named alike everywhere. */
export const PARAMS = 'params'
export const X = 'x'
export const Y = 'y'
export const INDEX = 'index'

/** Appends the model's own nodes and constants to `b`, its parameters cut from `params`, its input made from rows `rows` of `x`. */
export function attachForward(
  b: Builder,
  model: Lowered,
  { layout, input, params, rows }: { layout: Layout; input: InputOptions; params: string; rows: string },
): void {
  unpack(b, model, layout, params)
  const dims = model.shapes.get(model.input)!
  if (sizeOf(input.shape) !== sizeOf(dims.slice(1))) {
    throw invalid(`The model takes samples of shape [${dims.slice(1).join(', ')}], but the data's have [${input.shape.join(', ')}].`)
  }
  const value = inputValue(b, model, input, b.op('Gather', [X, rows], { axis: { int: 0 } }))
  // Also where the shapes agree, to give the value its name.
  b.add({ op: 'Reshape', name: 'input', inputs: [value, b.ints(dims)], outputs: [model.input], attributes: {} })
  for (const [name, tensor] of model.constants) b.constants.set(name, tensor)
  for (const node of model.nodes) {
    const { emit } = OPERATORS[node.op]!
    if (emit === undefined) {
      b.add(node)
      continue
    }
    const context: EmitContext = {
      node,
      b,
      shape: model.shapes.get(node.outputs[0]!)!,
      shapes: node.inputs.map((name) => model.shapes.get(name) ?? []),
      types: node.inputs.map((name) => model.types.get(name) ?? TYPE.float32),
      constant: (i) => model.constants.get(node.inputs[i]!),
    }
    byRules(node, () => emit(context))
  }
}

/** Raw values of a batch as the type that the model takes. @throws model-invalid where data and model do not go together */
function inputValue(b: Builder, { types, input: name }: Lowered, input: InputOptions, raw: string): string {
  const type = types.get(name)!
  if (type !== TYPE.float32) {
    if (input.dtype !== 'int64') throw invalid(`The model takes whole numbers such as token ids, but the data's inputs are ${input.dtype}.`)
    return type === TYPE.int32 ? raw : b.op('Cast', [raw], { to: { int: type } })
  }
  if (input.dtype === 'int64') throw invalid("The model takes float32, but the data's inputs are whole numbers such as token ids.")
  let value = input.dtype === 'float32' ? raw : b.op('Cast', [raw], { to: { int: TYPE.float32 } })
  if (input.offset !== 0) value = b.op('Sub', [value, b.scalar(input.offset)])
  if (input.scale !== 1) value = b.op('Mul', [value, b.scalar(input.scale)])
  return value
}

/** @throws model-invalid if layout and model name different tensors */
function unpack(b: Builder, model: Lowered, layout: Layout, params: string): void {
  if (layout.length !== model.parameters.size) {
    throw invalid(`The layout has ${layout.length} tensors, but the model is without the values of ${model.parameters.size}.`)
  }
  const pieces =
    layout.length === 1
      ? [params]
      : b.ops('Split', [params, b.ints(layout.map(({ shape }) => sizeOf(shape)))], layout.length, { axis: { int: 0 } })
  for (const [i, { name, shape }] of layout.entries()) {
    const value = model.parameters.get(name)
    if (value === undefined || model.shapes.get(value)!.join() !== shape.join()) {
      throw invalid(`The layout names "${name}" of shape [${shape.join(', ')}], which the model does not have.`)
    }
    b.add({ op: 'Reshape', name, inputs: [pieces[i]!, b.ints(shape)], outputs: [value], attributes: {} })
  }
}

/** The data set and its labels as graph inputs, with any number of samples. Whole numbers are int32 in memory. */
export function dataInputs(input: InputOptions, target: TargetOptions): ValueInfo[] {
  return [
    { name: X, type: input.dtype === 'int64' ? TYPE.int32 : TYPE[input.dtype], dims: ['samples', ...input.shape] },
    { name: Y, type: isClasses(target) ? TYPE.int32 : TYPE.float32, dims: ['samples', ...target.shape] },
  ]
}

/** True where labels are ids of classes, false where they are numbers. */
export const isClasses = ({ kind }: TargetOptions): boolean => kind === 'class' || kind === 'tokens'

/** Labels of the rows, flat: class ids as int64, numbers as float32. */
export function gatherLabels(b: Builder, rows: string, target: TargetOptions): string {
  const gathered = b.op('Gather', [Y, rows], { axis: { int: 0 } })
  const flat = target.shape.length === 0 ? gathered : b.op('Reshape', [gathered, b.ints([-1])])
  return isClasses(target) ? b.op('Cast', [flat], { to: { int: TYPE.int64 } }) : flat
}

/** @throws task-unsupported where loss and labels do not go together */
export function checkTarget(loss: Manifest['loss'], target: TargetOptions): void {
  const wanted = { 'cross-entropy': ['class', 'tokens'], bce: ['binary'], mse: ['number'], l1: ['number'], huber: ['number'] }[loss.kind]
  if (!wanted.includes(target.kind)) {
    throw new MurmurError(
      'task-unsupported',
      `The loss ${loss.kind} takes labels of kind ${wanted.join(' or ')}, but the data's are of kind ${target.kind}.`,
    )
  }
}
