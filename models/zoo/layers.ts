// Layers with seeded initial weights, for the models that come with Murmuration.
import type { Prng } from '../../protocol/prng.ts'
import { floatTensor, type Graph, type Node, type Tensor, TYPE } from '../graph.ts'
import { encodeModel } from '../serialize.ts'

export interface Network {
  /** ONNX bytes. */
  finish(): Uint8Array
  /** A convolution without padding: the image loses kernel - 1 rows and columns. */
  conv(name: string, from: number, to: number, kernel: number): Network
  /** Halves the image: the maximum of each 2 x 2 square. */
  maxPool(): Network
  relu(): Network
  flatten(): Network
  /** A fully connected layer. */
  linear(name: string, from: number, to: number): Network
}

/**
 * A chain of layers on `input` [batch, ...shape]. Weights are He-uniform (He et al. 2015), those of the last layer Glorot-uniform
 * (Glorot and Bengio 2010), biases zero.
 */
export function network(name: string, shape: readonly number[], prng: Prng): Network {
  const constants = new Map<string, Tensor>()
  const nodes: Node[] = []
  /** The weights drawn last, to be scaled down from He's bound to Glorot's when they turn out to be the output layer's. */
  let last: { weights: Float32Array; factor: number; tensor: string } | undefined
  let value = 'input'

  function push(op: string, inputs: string[], attributes: Node['attributes']): Network {
    const output = `${op.toLowerCase()}${nodes.length}`
    nodes.push({ op, name: output, inputs: [value, ...inputs], outputs: [output], attributes })
    value = output
    return self
  }
  function draw(tensor: string, dims: number[], fanIn: number, fanOut: number): string {
    const bound = Math.sqrt(6 / fanIn)
    const weights = Float32Array.from({ length: dims.reduce((product, dim) => product * dim, 1) }, () => (2 * prng.next() - 1) * bound)
    last = { weights, factor: Math.sqrt(fanIn / (fanIn + fanOut)), tensor }
    constants.set(tensor, floatTensor(weights, dims))
    return tensor
  }
  function zeros(tensor: string, length: number): string {
    constants.set(tensor, floatTensor(new Float32Array(length), [length]))
    return tensor
  }
  const self: Network = {
    conv(layer, from, to, kernel) {
      const area = kernel * kernel
      const weights = draw(`${layer}.weight`, [to, from, kernel, kernel], from * area, to * area)
      return push('Conv', [weights, zeros(`${layer}.bias`, to)], { kernel_shape: { ints: [kernel, kernel] } })
    },
    maxPool: () => push('MaxPool', [], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }),
    relu: () => push('Relu', [], {}),
    flatten: () => push('Flatten', [], { axis: { int: 1 } }),
    linear: (layer, from, to) => push('Gemm', [draw(`${layer}.weight`, [from, to], from, to), zeros(`${layer}.bias`, to)], {}),
    finish() {
      const { weights, factor, tensor } = last!
      const dims = constants.get(tensor)!.dims
      constants.set(
        tensor,
        floatTensor(
          weights.map((weight) => weight * factor),
          dims,
        ),
      )
      const graph: Graph = {
        name,
        inputs: [{ name: 'input', type: TYPE.float32, dims: ['batch', ...shape] }],
        outputs: [{ name: value, type: TYPE.float32, dims: ['batch', dims.at(-1)!] }],
        nodes,
        constants,
      }
      return encodeModel(graph)
    },
  }
  return self
}
