// What a decomposition is: how an operator is said in others, so that it needs no gradient of its own.
import { type Attribute, describeNode, intsAttribute, intsOf, invalid, type Node, type Tensor } from '../graph.ts'
import { axisOf } from '../operators/arguments.ts'
import type { Shape, ShapeContext } from '../operators/index.ts'

export { axisOf, knownInts } from '../operators/arguments.ts'

export interface DecompositionContext extends ShapeContext {
  /** Lowered for training, not for evaluation. */
  readonly training: boolean
  /** Appends a node; the last one must yield the decomposed node's outputs. Returns its first output. */
  emit(op: string, inputs: readonly string[], attributes?: Readonly<Record<string, Attribute>>, outputs?: readonly string[]): string
  /** A name for a value in between. */
  unused(): string
  /** Name of the int64 scalar that seeds this step, and a number that tells this place in the graph from others. */
  readonly seed: string
  salt(): number
  /** Names a constant; `output` names it as the node's result. */
  define(tensor: Tensor, output?: string): string
  /** Makes `output` another name for `value`. */
  alias(output: string, value: string): void
  /** The shape of a value that was emitted before. */
  shapeOf(value: string): Shape
  /** Says what the input, a running statistic, is after this step. */
  update(input: number, value: string): void
}

/** Positions along an axis that are written out one by one, such as where a resized image takes its numbers: bounds the time to compile. */
export const MAX_POSITIONS = 2 ** 18

/** Emits what takes the node's place; or emits nothing and returns false, where the node is primitive as it stands. */
export type Decomposition = (node: Node, context: DecompositionContext) => unknown
export type Decompositions = Readonly<Record<string, Decomposition>>

/**
 * Axes as an attribute or as input `input`, counted from the front of `rank`; undefined where none are given.
 * @throws model-invalid where they are only known when the model runs
 */
export function axesOf({ node, constant }: ShapeContext, rank: number, input = 1): number[] | undefined {
  const given = node.inputs[input] ? constant(input) : undefined
  if (node.inputs[input] && given === undefined) throw invalid(`${describeNode(node)} takes axes that are only known when the model runs.`)
  const axes = given === undefined ? intsAttribute(node, 'axes') : intsOf(given)
  return axes?.map((axis) => axisOf(node, axis, rank))
}
