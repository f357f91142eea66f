// What this folder knows of a primitive operator: the type and shape of its results, and its gradient.
import type { Builder } from '../builder.ts'
import type { Node, Tensor, TensorType } from '../graph.ts'

export type Shape = readonly number[]

export interface ShapeContext {
  readonly node: Node
  /** Shapes of the inputs; [] for one that was left out. */
  readonly shapes: readonly Shape[]
  /** Types of the inputs; float32 for one that was left out. */
  readonly types: readonly TensorType[]
  /** The value of an input that is known now, such as Reshape's shape. */
  constant(input: number): Tensor | undefined
}

export interface EmitContext extends ShapeContext {
  /** The shape of the first result. */
  readonly shape: Shape
  /** Where nodes go. They may use the forward node's inputs and outputs. */
  readonly b: Builder
}

export interface GradientContext extends EmitContext {
  /** The name of dL/d first result, of its shape. Only where the node has several results may it be missing: see `grads`. */
  readonly grad: string
  /** dL/d each result; undefined for one that the loss does not depend on. */
  readonly grads: readonly (string | undefined)[]
  /** True where dL/d input is asked for. */
  needs(input: number): boolean
}

export interface Operator {
  /** The shape of the only result. @throws model-invalid if the inputs do not fit the operator */
  shape?(context: ShapeContext): Shape
  /** The shapes of all results, where there may be several; takes the place of `shape`. @throws model-invalid */
  shapes?(context: ShapeContext): readonly Shape[]
  /** The type of the results; that of the first input where this is missing. */
  type?(context: ShapeContext): TensorType
  /** Results that the gradient reads: the node is given so many, even where the model names fewer. */
  results?: number
  /**
   * dL/d input by input, of the inputs' shapes; undefined where it is zero or was not asked for.
   * Missing where the results change in steps only, or not at all: comparisons, rounding.
   */
  gradient?(context: GradientContext): (string | undefined)[]
  /** Writes the node in standard operators, where stock onnxruntime has no kernel that does what the node says. */
  emit?(context: EmitContext): void
}

export type Operators = Readonly<Record<string, Operator>>
