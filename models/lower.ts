// From a loaded model to primitive operators only, every shape a number: decomposes, folds shape arithmetic, infers types and shapes.
import { MurmurError } from '../protocol/errors.ts'
import { sizeOf } from '../protocol/layout.ts'
import { LIMITS } from '../protocol/limits.ts'
import { type DecompositionContext, decompositionOf } from './decompositions/index.ts'
import { fold } from './fold.ts'
import { byRules, bytesOf, describeNode, invalid, type Node, type Tensor, type TensorType, TYPE } from './graph.ts'
import type { Model } from './load.ts'
import { OPERATORS, type Shape } from './operators/index.ts'
import { poolBeforeRelu, prune } from './simplify.ts'
import { unsupported } from './supported.ts'

export interface Lowered {
  nodes: readonly Node[]
  /** Values known at compile time, by name. */
  constants: ReadonlyMap<string, Tensor>
  /** The shape of every value, the batch included. */
  shapes: ReadonlyMap<string, Shape>
  types: ReadonlyMap<string, TensorType>
  input: string
  output: string
  /** From a layout's names to the graph's values. */
  parameters: ReadonlyMap<string, string>
  /** From a layout's names to what running statistics are after this step; empty unless for training. */
  updates: ReadonlyMap<string, string>
  /** True where the nodes read SEED, an int64 scalar that the graph around must define. */
  random: boolean
}

export interface LowerOptions {
  /** Samples of a batch. */
  batch: number
  /** Shape of one sample, to settle dimensions that the model leaves open. */
  sample?: Shape | undefined
  /** Training: dropout drops, and batches are normalised by their own statistics. */
  training: boolean
}

/** Name of the value that seeds a step's randomness. */
export const SEED = 'step_seed'

/** Nodes that a graph may have once taken apart; a bound on compile time. A GRU of 128 steps takes some 3,000. */
const NODES = 100_000
/** Decompositions within decompositions. */
const DEPTH = 8
/** Bytes of what is computed while lowering, such as masks: each is small, and a file could hold very many. */
const FOLDED_BYTES = 256 * 1024 * 1024
/** Elements that are read to compute it: a second or two. */
const FOLDED_ELEMENTS = 2 ** 24
/** What an element of a table costs, such as where a resized image takes its numbers, counted in elements that are read. */
const TABLE_COST = 4
/** Dimensions of a value in between: of a block of pixels or a window they may be more than a tensor's of a file. */
const RANK = 2 * LIMITS.tensorRank
/** Bytes of all values of one batch together, forward: what a training step may ask of a peer's memory. */
const BATCH_BYTES = 8 * LIMITS.payloadBytes

/** The model for batches of `batch` samples. @throws model-invalid, operator-unsupported, limit-exceeded */
export function lower(model: Model, { batch, sample, training }: LowerOptions): Lowered {
  const { graph, input, output } = model
  const nodes: Node[] = []
  const constants = new Map<string, Tensor>()
  const shapes = new Map<string, Shape>([[SEED, []]])
  const types = new Map<string, TensorType>([[SEED, TYPE.int64]])
  const parameters = new Map<string, string>()
  const parameterNames = new Map<string, string>()
  const updates = new Map<string, string>()
  // Renamed, so that no name of the model's meets one of the compilers'.
  const names = new Map<string, string>([
    ['', ''],
    [SEED_INPUT, SEED],
  ])
  let count = 0
  let bytes = 0
  let foldedBytes = 0
  let foldedElements = 0

  const spendBytes = ({ type, dims }: Tensor): void => {
    foldedBytes += bytesOf(type, dims)
    if (foldedBytes > FOLDED_BYTES) throw limit(`constants of more than ${FOLDED_BYTES} bytes as it is taken apart`)
  }
  const spendElements = (count: number): void => {
    foldedElements += count
    if (foldedElements > FOLDED_ELEMENTS) throw limit(`constants from more than ${FOLDED_ELEMENTS} numbers as it is taken apart`)
  }

  const rename = (name: string): string => {
    const fresh = `m${count++}`
    if (name !== '') names.set(name, fresh)
    return fresh
  }
  const unused = () => `\u0000${count++}`
  const define = (tensor: Tensor, name: string): void => {
    const value = rename(name)
    constants.set(value, tensor)
    shapes.set(value, tensor.dims)
    types.set(value, tensor.type)
  }

  function visit(node: Node, depth: number): void {
    const inputs = node.inputs.map((name) => {
      const value = names.get(name)
      if (value === undefined) throw invalid(`${describeNode(node)} uses "${name}", an output that its maker does not have here.`)
      return value
    })
    const known = inputs.map((name) => constants.get(name))
    const context = {
      node,
      shapes: inputs.map((name) => shapes.get(name) ?? []),
      types: inputs.map((name) => types.get(name) ?? TYPE.float32),
      constant: (i: number) => known[i],
    }
    const folded = fold(node, context.shapes, known, spendElements)
    if (folded !== undefined) {
      for (const [i, tensor] of folded.entries()) {
        spendBytes(tensor)
        if (node.outputs[i]) define(tensor, node.outputs[i])
      }
      return
    }

    if (node.op === 'If') {
      branch(node, known[0], depth)
      return
    }
    const decompose = decompositionOf(node)
    if (decompose !== undefined && depth < DEPTH) {
      const decomposition: DecompositionContext = {
        ...context,
        training,
        emit(op, inputs, attributes = {}, outputs = [unused()]) {
          visit({ op, name: node.name, inputs, outputs, attributes }, depth + 1)
          return outputs[0]!
        },
        unused,
        seed: SEED_INPUT,
        salt: () => count,
        define(tensor, output) {
          const name = output ?? unused()
          if (output === undefined) {
            spendBytes(tensor)
            spendElements(TABLE_COST * sizeOf(tensor.dims))
          }
          define(tensor, name)
          return name
        },
        alias: (name, value) => void names.set(name, names.get(value)!),
        shapeOf: (name) => shapes.get(names.get(name)!)!,
        update(i, value) {
          const name = parameterNames.get(inputs[i]!)
          if (name !== undefined) updates.set(name, names.get(value)!)
        },
      }
      if (decompose(node, decomposition) !== false) return
    }

    const operator = Object.hasOwn(OPERATORS, node.op) ? OPERATORS[node.op] : undefined
    if (operator === undefined) throw unsupported(node)
    const results = operator.shapes?.(context) ?? [operator.shape!(context)]
    const type = operator.type?.(context) ?? context.types[0] ?? TYPE.float32
    if (node.outputs.length > results.length)
      throw invalid(`${describeNode(node)} has ${node.outputs.length} outputs; ${results.length} are supported.`)
    const outputs = results.flatMap((shape, i) => {
      const name = node.outputs[i] ?? ''
      if (name === '' && i >= (operator.results ?? 1)) return []
      if (shape.length > RANK)
        throw invalid(`${describeNode(node)} makes values of ${shape.length} dimensions; at most ${RANK} are supported.`)
      bytes += bytesOf(type, shape)
      if (bytesOf(type, shape) > LIMITS.payloadBytes || bytes > BATCH_BYTES) {
        throw new MurmurError(
          'limit-exceeded',
          `${describeNode(node)} makes values of shape [${shape.join(', ')}], ${bytes} bytes with all before it, too much for a batch of ${batch}; use smaller batches.`,
        )
      }
      const value = rename(name)
      shapes.set(value, shape)
      types.set(value, type)
      return [value]
    })
    nodes.push({ ...node, inputs, outputs })
    if (nodes.length > NODES) throw limit(`more than ${NODES} operations once taken apart`)
  }

  /** The nodes of the branch that a known condition takes; they see the values around them. */
  function branch(node: Node, condition: Tensor | undefined, depth: number): void {
    const taken = condition?.data?.[0] === undefined ? undefined : node.attributes[condition.data[0] === 0 ? 'else_branch' : 'then_branch']
    if (taken === undefined || !('graph' in taken) || depth >= DEPTH) {
      throw invalid(`${describeNode(node)} depends on what is only known when the model runs; export the model without such branches.`)
    }
    const { constants, nodes, outputs } = taken.graph
    for (const [name, tensor] of constants) {
      if (tensor.data === undefined && sizeOf(tensor.dims) > 0) throw invalid(`Tensor "${name}" of the model is without data.`)
      define(tensor, name)
    }
    for (const inner of nodes) visit(inner, depth + 1)
    for (const [i, name] of node.outputs.entries()) {
      const value = names.get(outputs[i]?.name ?? '')
      if (name !== '' && value) names.set(name, value)
    }
  }

  const dims = [batch, ...sampleShape(model, sample)]
  bytes = bytesOf(input.type, dims)
  if (bytes > BATCH_BYTES) {
    throw new MurmurError(
      'limit-exceeded',
      `A batch of ${batch} samples of shape [${dims.slice(1).join(', ')}] is too large; use smaller batches.`,
    )
  }
  const inputValue = rename(input.name)
  shapes.set(inputValue, dims)
  types.set(inputValue, input.type)
  for (const [name, tensor] of graph.constants) {
    define(tensor, name)
    if (tensor.data === undefined) {
      const value = names.get(name)!
      parameters.set(name, value)
      parameterNames.set(value, name)
      // Its value is the flat vector's, not a constant.
      constants.delete(value)
    }
  }
  for (const node of graph.nodes) {
    byRules(node, () => visit(node, 0))
  }
  const result = names.get(output.name)!
  const kept = prune(nodes, [result, ...updates.values()])
  const double = kept.find((node) => node.inputs.some((name) => types.get(name) === TYPE.float64))
  if (double !== undefined) throw invalid(`${describeNode(double)} computes in float64; export the model as float32.`)
  return {
    nodes: poolBeforeRelu(kept, shapes, result),
    constants,
    shapes,
    types,
    input: inputValue,
    output: result,
    parameters,
    updates,
    random: kept.some(({ inputs }) => inputs.includes(SEED)),
  }
}

const limit = (what: string) => new MurmurError('limit-exceeded', `The model makes ${what}; use a smaller one or shorter sequences.`)

/** How decompositions name SEED among the model's own names; no ONNX name may hold NUL. */
const SEED_INPUT = '\u0000seed'

/**
 * One sample's shape: the model's own, or where it leaves dimensions open, `given`.
 * @throws model-invalid where dimensions stay open
 */
export function sampleShape({ input }: Model, given?: Shape): number[] {
  const own = input.dims.slice(1)
  const open = own.findIndex((dim) => typeof dim !== 'number')
  if (open < 0) return own.map(Number)
  const fits = given?.length === own.length && own.every((dim, i) => typeof dim !== 'number' || dim === given[i])
  if (given !== undefined && fits) return [...given]
  const shape = own.join(', ')
  if (given === undefined)
    throw invalid(`The model's input "${input.name}" leaves [${shape}] open for each sample; only data can settle it.`)
  throw invalid(`The model takes samples of shape [${shape}], but the data's have [${given.join(', ')}].`)
}

/**
 * The only number of samples that the model takes, where its exporter fixed the batch and built it into shapes; undefined where any
 * number will do, also for models that merely declare one.
 */
export function onlyBatch(model: Model, sample?: Shape): number | undefined {
  const [declared] = model.input.dims
  if (typeof declared !== 'number' || declared < 1) return undefined
  // One more sample must give one more answer, or as many more as a sample has positions.
  const batch = declared + 1
  try {
    const { shapes, output } = lower(model, { batch, sample, training: false })
    return (shapes.get(output)![0] ?? 0) % batch === 0 ? undefined : declared
  } catch (error) {
    if (error instanceof MurmurError && error.code === 'model-invalid') return declared
    throw error
  }
}

/** @throws model-invalid where the model does not take batches of this size */
export function checkBatch(model: Model, batch: number, sample?: Shape): void {
  const only = onlyBatch(model, sample)
  if (only !== undefined && only !== batch) {
    throw invalid(
      `The model was exported for batches of ${only}, not of ${batch}; use --batch-size ${only}, or export it with a dynamic batch axis.`,
    )
  }
}

/** Samples to try a model with that is only looked at: two, so that the batch is told from a single sample. */
export const trialBatch = (model: Model, sample?: Shape): number => onlyBatch(model, sample) ?? 2

/** Numbers of one sample as the data must have them, or undefined where the model leaves that open. */
export const fixedSampleSize = ({ input }: Model): number | undefined => {
  const own = input.dims.slice(1)
  return own.every((dim) => typeof dim === 'number') ? sizeOf(own as number[]) : undefined
}
