// The part that training and evaluation share: unpack the flat vector, gather a batch, run the model.
import { MurmurError } from '../protocol/errors.ts'
import { type Layout, sizeOf } from '../protocol/layout.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Builder } from './builder.ts'
import { invalid, TYPE, type ValueInfo } from './graph.ts'
import type { Lowered } from './lower.ts'

export type InputOptions = Manifest['data']['input']

/** The values a compiled graph reads, named alike everywhere. */
export const PARAMS = 'params'
export const X = 'x'
export const Y = 'y'
export const INDEX = 'index'

/** Integer type of the labels as they lie in memory. */
export type LabelType = 'int32' | 'int64'

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
  const gathered = b.op('Gather', [X, rows], { axis: { int: 0 } })
  let value = input.dtype === 'float32' ? gathered : b.op('Cast', [gathered], { to: { int: TYPE.float32 } })
  if (input.offset !== 0) value = b.op('Sub', [value, b.scalar(input.offset)])
  if (input.scale !== 1) value = b.op('Mul', [value, b.scalar(input.scale)])
  // Also where the shapes agree, to give the value its name.
  b.add({ op: 'Reshape', name: 'input', inputs: [value, b.ints(dims)], outputs: [model.input], attributes: {} })
  for (const node of model.nodes) b.add(node)
  for (const [name, tensor] of model.constants) b.constants.set(name, tensor)
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

/** The data set and its labels as graph inputs, with any number of samples. */
export function dataInputs(input: InputOptions, labels: LabelType): ValueInfo[] {
  if (input.dtype === 'int64') {
    throw new MurmurError('task-unsupported', "The task's input is int64, which this version of Murmuration does not have.")
  }
  return [
    { name: X, type: TYPE[input.dtype], dims: ['samples', ...input.shape] },
    { name: Y, type: TYPE[labels], dims: ['samples'] },
  ]
}

/** Labels of the rows as int64. */
export const gatherLabels = (b: Builder, rows: string): string =>
  b.op('Cast', [b.op('Gather', [Y, rows], { axis: { int: 0 } })], { to: { int: TYPE.int64 } })
