// Layers with seeded initial weights, for the models that come with Murmuration. Values are names: a model is written as it flows.
import { sizeOf } from '../../protocol/layout.ts'
import type { Prng } from '../../protocol/prng.ts'
import { type Attribute, floatTensor, type Graph, intTensor, type Node, type Tensor, TYPE, type ValueInfo } from '../graph.ts'
import { encodeModel } from '../serialize.ts'
import { glorot, he, type Init, values } from './init.ts'

type Attributes = Readonly<Record<string, Attribute>>

export interface LayerOptions {
  /** Default: He-uniform weights. */
  init?: Init
  /** Default true: a bias that starts at zero. */
  bias?: boolean
}

/** For a model's last layer, and for those before a tanh. */
export const GLOROT: LayerOptions = { init: glorot }

export interface ConvOptions extends LayerOptions {
  stride?: number
  /** Rows and columns of zeros on each side; default none: the image loses kernel - 1 rows and columns. */
  pad?: number
}

export interface Layers {
  /** The model's input, [batch, ...shape]. */
  readonly input: string
  /** Appends a node and returns its output's name. */
  op(op: string, inputs: readonly string[], attributes?: Attributes): string
  /** The same for a node of several outputs. */
  ops(op: string, inputs: readonly string[], outputs: number, attributes?: Attributes): string[]
  /** A trainable tensor. */
  parameter(name: string, dims: readonly number[], data: Float32Array): string
  /** int64 constants, one-dimensional unless `dims` says otherwise. */
  ints(values: readonly number[], dims?: readonly number[]): string
  /** A float32 constant that is never trained: what splitWeights takes to be weights are initializers, and this is a node. */
  fixed(tensor: Tensor): string
  conv(x: string, name: string, from: number, to: number, kernel: number, options?: ConvOptions): string
  convTranspose(x: string, name: string, from: number, to: number, kernel: number, options?: ConvOptions): string
  /** Halves the image: the maximum, or the average, of each 2 x 2 square. */
  pool(x: string, op: 'MaxPool' | 'AveragePool'): string
  relu(x: string): string
  /** [batch, ...rest] to [batch, product of rest]. */
  flatten(x: string): string
  /** A fully connected layer on [batch, from]. */
  linear(x: string, name: string, from: number, to: number, options?: LayerOptions): string
  /** The same on the last axis of [..., from]. */
  dense(x: string, name: string, from: number, to: number, options?: LayerOptions): string
  /** @param start of the scales, default 1 */
  groupNorm(x: string, name: string, channels: number, groups: number, start?: number): string
  layerNorm(x: string, name: string, width: number): string
  /** Rows of a trainable table [size, width], for int64 `ids`. */
  embedding(ids: string, name: string, size: number, width: number, init: Init): string
  /** ONNX bytes of the model that ends in `output`, [batch, ...shape]. */
  finish(output: string, shape: readonly number[]): Uint8Array
}

/** @param type of the model's input */
export function layers(name: string, prng: Prng, shape: readonly number[], type: ValueInfo['type'] = TYPE.float32): Layers {
  const input = 'input'
  const constants = new Map<string, Tensor>()
  const nodes: Node[] = []

  function ops(op: string, inputs: readonly string[], outputs: number, attributes: Attributes = {}): string[] {
    const first = `${op.toLowerCase()}${nodes.length}`
    const names = Array.from({ length: outputs }, (_, i) => (i === 0 ? first : `${first}_${i}`))
    nodes.push({ op, name: first, inputs, outputs: names, attributes })
    return names
  }
  const op: Layers['op'] = (op, inputs, attributes) => ops(op, inputs, 1, attributes)[0]!
  const parameter: Layers['parameter'] = (name, dims, data) => {
    constants.set(name, floatTensor(data, dims))
    return name
  }
  const drawn = (name: string, dims: readonly number[], fanIn: number, fanOut: number, init: Init): string =>
    parameter(name, dims, init(prng, sizeOf(dims), fanIn, fanOut))
  const filled = (name: string, length: number, value: number): string => parameter(name, [length], values(length, value))
  const biasOf = (layer: string, to: number, bias = true): string[] => (bias ? [filled(`${layer}.bias`, to, 0)] : [])
  const windows = (kernel: number, { stride = 1, pad = 0 }: ConvOptions): Attributes => ({
    kernel_shape: { ints: [kernel, kernel] },
    ...(pad > 0 && { pads: { ints: [pad, pad, pad, pad] } }),
    ...(stride > 1 && { strides: { ints: [stride, stride] } }),
  })

  return {
    input,
    op,
    ops,
    parameter,
    ints(values, dims = [values.length]) {
      const name = `ints${constants.size}`
      constants.set(name, intTensor(values, dims))
      return name
    },
    fixed: (tensor) => op('Constant', [], { value: { tensor } }),
    conv(x, layer, from, to, kernel, options = {}) {
      const area = kernel * kernel
      const weight = drawn(`${layer}.weight`, [to, from, kernel, kernel], from * area, to * area, options.init ?? he)
      return op('Conv', [x, weight, ...biasOf(layer, to, options.bias)], windows(kernel, options))
    },
    convTranspose(x, layer, from, to, kernel, options = {}) {
      // With a stride, each result sums over that many fewer of the kernel's rows and columns.
      const area = (kernel / (options.stride ?? 1)) ** 2
      const weight = drawn(`${layer}.weight`, [from, to, kernel, kernel], from * area, to * area, options.init ?? he)
      return op('ConvTranspose', [x, weight, ...biasOf(layer, to, options.bias)], windows(kernel, options))
    },
    pool: (x, kind) => op(kind, [x], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }),
    relu: (x) => op('Relu', [x]),
    flatten: (x) => op('Flatten', [x], { axis: { int: 1 } }),
    linear(x, layer, from, to, { init = he, bias } = {}) {
      const weight = drawn(`${layer}.weight`, [from, to], from, to, init)
      return op('Gemm', [x, weight, ...biasOf(layer, to, bias)])
    },
    dense(x, layer, from, to, { init = he, bias } = {}) {
      const product = op('MatMul', [x, drawn(`${layer}.weight`, [from, to], from, to, init)])
      return bias === false ? product : op('Add', [product, filled(`${layer}.bias`, to, 0)])
    },
    groupNorm(x, layer, channels, groups, start = 1) {
      const scale = filled(`${layer}.weight`, channels, start)
      return op('GroupNormalization', [x, scale, filled(`${layer}.bias`, channels, 0)], { num_groups: { int: groups } })
    },
    layerNorm: (x, layer, width) =>
      op('LayerNormalization', [x, filled(`${layer}.weight`, width, 1), filled(`${layer}.bias`, width, 0)], { axis: { int: -1 } }),
    embedding: (ids, layer, size, width, init) => op('Gather', [drawn(`${layer}.weight`, [size, width], size, width, init), ids]),
    finish(output, outputShape) {
      const graph: Graph = {
        name,
        inputs: [{ name: input, type, dims: ['batch', ...shape] }],
        outputs: [{ name: output, type: TYPE.float32, dims: ['batch', ...outputShape] }],
        nodes,
        constants,
      }
      return encodeModel(graph)
    },
  }
}
