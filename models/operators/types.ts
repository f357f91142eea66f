// What this folder knows of a primitive operator: the shape of its result, and its gradient.
import type { Builder } from '../builder.ts'
import type { Node, Tensor } from '../graph.ts'

export type Shape = readonly number[]

export interface ShapeContext {
  readonly node: Node
  /** Shapes of the inputs; [] for one that was left out. */
  readonly shapes: readonly Shape[]
  /** The value of an input that is known now, such as Reshape's shape. */
  constant(input: number): Tensor | undefined
}

export interface GradientContext extends ShapeContext {
  /** The shape of the result. */
  readonly shape: Shape
  /** The name of dL/d result, of the result's shape. */
  readonly grad: string
  /** True where dL/d input is asked for. */
  needs(input: number): boolean
  /** Where the gradient's nodes go. They may use the forward node's inputs and outputs. */
  readonly b: Builder
}

export interface Operator {
  /** @throws model-invalid if the inputs do not fit the operator */
  shape(context: ShapeContext): Shape
  /** dL/d input by input, of the inputs' shapes; undefined where it is zero or was not asked for. */
  gradient(context: GradientContext): (string | undefined)[]
}

export type Operators = Readonly<Record<string, Operator>>
