// Reading a node's arguments: axes counted from the front, and inputs that must be known when compiling.
import { describeNode, intsOf, invalid, type Node } from '../graph.ts'
import type { ShapeContext } from './types.ts'

/** An axis counted from the front. @throws model-invalid */
export function axisOf(node: Node, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis
  if (positive < 0 || positive >= rank) throw invalid(`${describeNode(node)} has axis ${axis}, but its input has ${rank} dimensions.`)
  return positive
}

/** The integers of an input. @param what it is, for the message @throws model-invalid */
export function knownInts({ node, constant }: ShapeContext, input: number, what: string): number[] {
  const tensor = constant(input)
  if (tensor === undefined) throw invalid(`${describeNode(node)} takes ${what} only known when the model runs; fix that at export.`)
  return intsOf(tensor)
}

/** The same where none may be negative. @throws model-invalid */
export function knownSizes(context: ShapeContext, input: number, what: string): number[] {
  const sizes = knownInts(context, input, what)
  if (sizes.some((size) => size < 0))
    throw invalid(`${describeNode(context.node)} takes ${what} [${sizes.join(', ')}]; none may be negative.`)
  return sizes
}
