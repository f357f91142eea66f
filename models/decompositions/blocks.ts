// Blocks of an image that become channels, and back.
import { describeNode, intAttribute, intTensor, invalid, type Node, stringAttribute } from '../graph.ts'
import type { Decomposition, DecompositionContext, Decompositions } from './types.ts'

/** A transposition of `value`, seen as `apart`, that is then seen as `together`. */
function rearrange(node: Node, { emit, define }: DecompositionContext, apart: number[], perm: number[], together: number[]): void {
  const split = emit('Reshape', [node.inputs[0]!, define(intTensor(apart))])
  emit('Reshape', [emit('Transpose', [split], { perm: { ints: perm } }), define(intTensor(together))], {}, node.outputs)
}

/** @throws model-invalid unless the input is [N, C, H, W], with dimensions `axes` that the block divides by `divisor` */
function blockOf(node: Node, dims: readonly number[], axes: readonly number[], divisor: (block: number) => number): number {
  const block = intAttribute(node, 'blocksize', 0)
  if (dims.length !== 4 || block < 1 || axes.some((axis) => dims[axis]! % divisor(block) !== 0)) {
    throw invalid(`${describeNode(node)} cuts shape [${dims.join(', ')}] by blocks of ${block}, which cannot be done evenly.`)
  }
  return block
}

/** DCR counts a block's places before the channels, CRD behind them (PyTorch's PixelShuffle). */
const DepthToSpace: Decomposition = (node, context) => {
  const dims = context.shapes[0]!
  const block = blockOf(node, dims, [1], (block) => block * block)
  const [n, c, h, w] = dims as [number, number, number, number]
  const channels = c / (block * block)
  const together = [n, channels, h * block, w * block]
  if (stringAttribute(node, 'mode', 'DCR') === 'CRD')
    rearrange(node, context, [n, channels, block, block, h, w], [0, 1, 4, 2, 5, 3], together)
  else rearrange(node, context, [n, block, block, channels, h, w], [0, 3, 4, 1, 5, 2], together)
}

const SpaceToDepth: Decomposition = (node, context) => {
  const dims = context.shapes[0]!
  const block = blockOf(node, dims, [2, 3], (block) => block)
  const [n, c, h, w] = dims as [number, number, number, number]
  const [rows, columns] = [h / block, w / block]
  rearrange(node, context, [n, c, rows, block, columns, block], [0, 3, 5, 1, 2, 4], [n, c * block * block, rows, columns])
}

export const blocks: Decompositions = { DepthToSpace, SpaceToDepth }
