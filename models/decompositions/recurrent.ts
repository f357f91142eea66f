// LSTM, GRU and RNN, unrolled: the input's products for all steps at once, then one small product a step. (ONNX operators of the same
// names; Hochreiter and Schmidhuber 1997, Cho et al. 2014.)
import { describeNode, floatsOf, floatTensor, intAttribute, intsOf, intTensor, invalid, type Node, stringAttribute } from '../graph.ts'
import type { Decomposition, DecompositionContext, Decompositions } from './types.ts'

/** What one step does: from the gates' inputs to the next state. */
interface Cell {
  /** How the rows of W, R and the biases are cut, once for all steps, in units of `hidden`. */
  blocks: readonly number[]
  /** Activation functions that are supported, each direction's joined by commas, the default first. */
  activations: readonly string[]
  /** Of blocks whose recurrent bias is not simply added to the gates' inputs. */
  keepsBias?(context: StepContext, block: number): boolean
  /** @param gateInputs x W^T + b of each block, [batch, block * hidden] */
  step(context: StepContext, gateInputs: readonly string[], state: State): State
}

/** Both [batch, hidden]; undefined: zero. */
interface State {
  h: string | undefined
  c: string | undefined
}

interface StepContext extends Pick<DecompositionContext, 'emit' | 'unused' | 'define'> {
  hidden: number
  /** R of each block, [block * hidden, hidden], and its bias. */
  weights: readonly string[]
  biases: readonly string[] | undefined
  activation: string
  isLinearBeforeReset: boolean
}

type Emitting = Pick<StepContext, 'emit' | 'unused' | 'define'>

function split({ emit, unused, define }: Emitting, value: string, axis: number, sizes: readonly number[]): string[] {
  if (sizes.length === 1) return [value]
  const outputs = sizes.map(() => unused())
  emit('Split', [value, define(intTensor(sizes))], { axis: { int: axis } }, outputs)
  return outputs
}

/** gateInputs + h R^T. */
const addRecurrent = ({ emit }: StepContext, gateInputs: string, weights: string, h: string | undefined): string =>
  h === undefined ? gateInputs : emit('Gemm', [h, weights, gateInputs], { transB: { int: 1 } })

const rnn: Cell = {
  blocks: [1],
  activations: ['Tanh', 'Relu'],
  step: (context, [x = ''], { h }) => ({
    h: context.emit(context.activation, [addRecurrent(context, x, context.weights[0]!, h)]),
    c: undefined,
  }),
}

/** Gates i, o, f, c: c' = f c + i tanh(.), h' = o tanh(c'). */
const lstm: Cell = {
  blocks: [4],
  activations: ['Sigmoid,Tanh,Tanh'],
  step(context, [x = ''], { h, c }) {
    const { emit, hidden } = context
    const [three = '', candidate = ''] = split(context, addRecurrent(context, x, context.weights[0]!, h), 1, [3 * hidden, hidden])
    const [i = '', o = '', f = ''] = split(context, emit('Sigmoid', [three]), 1, [hidden, hidden, hidden])
    const added = emit('Mul', [i, emit('Tanh', [candidate])])
    const cell = c === undefined ? added : emit('Add', [emit('Mul', [f, c]), added])
    return { h: emit('Mul', [o, emit('Tanh', [cell])]), c: cell }
  },
}

/** Gates z, r, h: h' = (1 - z) n + z h with n = tanh(x + r (h R^T + b)), or where the reset comes first tanh(x + (r h) R^T + b). */
const gru: Cell = {
  blocks: [2, 1],
  activations: ['Sigmoid,Tanh'],
  // The candidate's recurrent bias is inside the reset gate's product.
  keepsBias: ({ isLinearBeforeReset }, block) => isLinearBeforeReset && block === 1,
  step(context, [gateX = '', candidateX = ''], { h }) {
    const { emit, hidden, define, isLinearBeforeReset } = context
    const [gateR = '', candidateR = ''] = context.weights
    const [z = '', r = ''] = split(context, emit('Sigmoid', [addRecurrent(context, gateX, gateR, h)]), 1, [hidden, hidden])
    const candidate = (): string => {
      if (!isLinearBeforeReset) return addRecurrent(context, candidateX, candidateR, h && emit('Mul', [r, h]))
      const bias = context.biases?.[1]
      const inner = h === undefined ? bias : emit('Gemm', [h, candidateR, ...(bias === undefined ? [] : [bias])], { transB: { int: 1 } })
      return inner === undefined ? candidateX : emit('Add', [candidateX, emit('Mul', [r, inner])])
    }
    const n = emit('Tanh', [candidate()])
    // n + z (h - n)
    if (h !== undefined) return { h: emit('Add', [n, emit('Mul', [z, emit('Sub', [h, n])])]), c: undefined }
    return { h: emit('Mul', [emit('Sub', [define(floatTensor([1], [])), z]), n]), c: undefined }
  },
}

/** Steps that are unrolled, each some ten nodes: lower.ts takes 100,000 nodes. */
const MAX_STEPS = 10_000

const unroll =
  (cell: Cell): Decomposition =>
  (node, context) => {
    const { emit, define, shapes, constant } = context
    const [steps, batch, width] = shapes[0]!
    const [directions, rows, columns] = shapes[1]!
    const hidden = shapes[2]![2]
    const gates = cell.blocks.reduce((sum, block) => sum + block, 0)
    if (
      steps === undefined ||
      batch === undefined ||
      width === undefined ||
      hidden === undefined ||
      columns !== width ||
      rows !== gates * hidden
    ) {
      throw invalid(
        `${describeNode(node)} has weights [${shapes[1]}] and [${shapes[2]}] for an input of shape [${shapes[0]}], which do not fit.`,
      )
    }
    if (steps > MAX_STEPS) throw invalid(`${describeNode(node)} takes ${steps} steps; at most ${MAX_STEPS} are supported.`)
    checkAttributes(node, context, cell, directions!, steps)
    const direction = stringAttribute(node, 'direction', 'forward')
    const reshape = (value: string, dims: readonly number[]) => emit('Reshape', [value, define(intTensor(dims))])
    /** Direction `d` of an input [directions, ...dims]. */
    const ofDirection = (input: number, dims: readonly number[]): string[] | undefined => {
      if (!node.inputs[input]) return undefined
      return split(context, node.inputs[input], 0, Array(directions).fill(1)).map((part) => reshape(part, dims))
    }
    const byBlock = (value: string) =>
      split(
        context,
        value,
        0,
        cell.blocks.map((block) => block * hidden),
      )
    const isZero = (input: number) => constant(input) !== undefined && floatsOf(constant(input)!).every((value) => value === 0)
    const initial = (input: number) => (isZero(input) ? undefined : ofDirection(input, [batch, hidden]))
    const [ws, rs, biases, h0s, c0s] = [
      ofDirection(1, [rows, width])!,
      ofDirection(2, [rows, hidden])!,
      ofDirection(3, [2 * rows]),
      initial(5),
      initial(6),
    ]
    const flat = reshape(node.inputs[0]!, [steps * batch, width])
    const all: string[] = []
    const last: State[] = []
    for (let d = 0; d < directions!; d++) {
      const [inputBiases, recurrentBiases] = biases === undefined ? [] : split(context, biases[d]!, 0, [rows, rows]).map(byBlock)
      const stepContext: StepContext = {
        ...{ emit, define, unused: context.unused },
        hidden,
        weights: byBlock(rs[d]!),
        biases: recurrentBiases,
        activation: activationsOf(node, cell, d),
        isLinearBeforeReset: intAttribute(node, 'linear_before_reset', 0) === 1,
      }
      const bias = (block: number): string[] => {
        if (inputBiases === undefined || recurrentBiases === undefined) return []
        if (cell.keepsBias?.(stepContext, block)) return [inputBiases[block]!]
        return [emit('Add', [inputBiases[block]!, recurrentBiases[block]!])]
      }
      // For each block the input's products of all steps, then cut by step.
      const gateInputs = byBlock(ws[d]!).map((w, block) =>
        split(context, emit('Gemm', [flat, w, ...bias(block)], { transB: { int: 1 } }), 0, Array(steps).fill(batch)),
      )
      const isReversed = direction === 'reverse' || d === 1
      const hs: string[] = Array(steps)
      let state: State = { h: h0s?.[d], c: c0s?.[d] }
      for (let i = 0; i < steps; i++) {
        const at = isReversed ? steps - 1 - i : i
        state = cell.step(
          stepContext,
          gateInputs.map((ofBlock) => ofBlock[at]!),
          state,
        )
        hs[at] = state.h!
      }
      const joined = steps === 1 ? hs[0]! : emit('Concat', hs, { axis: { int: 0 } })
      all.push(reshape(joined, [steps, 1, batch, hidden]))
      last.push(state)
    }
    const [y, yH, yC] = node.outputs
    const finish = (name: string | undefined, parts: readonly string[], axis: number) => {
      if (!name) return
      if (parts.length === 1) context.alias(name, parts[0]!)
      else emit('Concat', parts, { axis: { int: axis } }, [name])
    }
    const atEnd = (value: (state: State) => string | undefined) => last.map((state) => reshape(value(state)!, [1, batch, hidden]))
    finish(y, all, 1)
    if (yH)
      finish(
        yH,
        atEnd(({ h }) => h),
        0,
      )
    if (yC)
      finish(
        yC,
        atEnd(({ c }) => c),
        0,
      )
  }

function activationsOf(node: Node, { activations }: Cell, direction: number): string {
  const attribute = node.attributes.activations
  const given = attribute !== undefined && 'strings' in attribute ? attribute.strings : []
  const each = activations[0]!.split(',').length
  return given.length === 0 ? activations[0]! : given.slice(direction * each, (direction + 1) * each).join(',')
}

/** @throws model-invalid, naming what is not supported */
function checkAttributes(node: Node, { constant }: DecompositionContext, cell: Cell, directions: number, steps: number): void {
  const refused = (what: string) => invalid(`${describeNode(node)} ${what}; export it as PyTorch does by default.`)
  const wanted = stringAttribute(node, 'direction', 'forward') === 'bidirectional' ? 2 : 1
  if (wanted !== directions) throw refused(`has weights for ${directions} directions, and its attribute says ${wanted}`)
  if (intAttribute(node, 'layout', 0) !== 0) throw refused('has the batch as its first dimension (layout 1)')
  if (node.attributes.clip !== undefined || intAttribute(node, 'input_forget', 0) !== 0) throw refused('clips its gates or couples them')
  if (node.inputs[7]) throw refused('has peepholes')
  for (let d = 0; d < directions; d++) {
    const given = activationsOf(node, cell, d)
    if (!cell.activations.includes(given)) throw refused(`has the activations ${given}, and ${cell.activations.join(' or ')} is supported`)
  }
  if (node.inputs[4]) {
    const lengths = constant(4)
    if (lengths === undefined || intsOf(lengths).some((length) => length !== steps)) throw refused('has sequences of different lengths')
  }
}

export const recurrent: Decompositions = { GRU: unroll(gru), LSTM: unroll(lstm), RNN: unroll(rnn) }
