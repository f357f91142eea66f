// A case of the gradient tests: operators between an input, weights and class scores. And the check that it passes.
import fc from 'fast-check'
import type { Test } from 'tap'
import { type Attribute, floatTensor, type Graph } from '../../../models/graph.ts'
import { splitWeights } from '../../../models/index.ts'
import { decodeGraph, parseModel, writeModel } from '../../../models/serialize.ts'
import { sizeOf } from '../../../protocol/layout.ts'
import { createPrng } from '../../../protocol/prng.ts'
import { buildModel, normals, type Parts, train } from '../helpers.ts'
import { referenceLoss, runReference } from '../reference.ts'

/** So small that no rectifier or maximum changes sides within it. */
const STEP = 1e-7
/** So large that the rounding of a moved parameter is that of its gradient; a power of two, which rounds nothing itself. */
const RATE = 1024
const BATCH = 3
const CLASSES = 4
/** Largest error of a gradient, relative to the largest of its tensor: float32 rounding stays well below, a wrong rule does not. */
const TOLERANCE = 1e-4

export type Attributes = Record<string, Attribute>
export interface Case {
  name: string
  /** An ordinary ONNX model from [batch, ...shape] to [batch, CLASSES]. */
  make(): { model: Uint8Array; shape: number[] }
}
type Build = (parts: Parts, x: string) => string

/** Attributes of whole numbers and texts, written plainly. */
export const whole = (attributes: Record<string, number | readonly number[] | string>): Attributes =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]): [string, Attribute] => {
      if (typeof value === 'string') return [name, { string: value }]
      return [name, typeof value === 'number' ? { int: value } : { ints: value }]
    }),
  )

export const floating = (attributes: Record<string, number>): Attributes =>
  Object.fromEntries(Object.entries(attributes).map(([name, float]) => [name, { float }]))

/** A float32 number as exporters write literals: a node, which no one takes for a weight. */
export const literal = ({ b }: Parts, value: number): string => b.op('Constant', [], { value_float: { float: value } })

/** A trainable vector of chosen numbers. */
export function given({ b }: Parts, values: readonly number[], name = 'given'): string {
  b.constants.set(name, floatTensor(values, [values.length]))
  return name
}

export const graphOf = (model: Uint8Array): Graph => decodeGraph(parseModel(model).graph!)

/** Scores of near 1, however many numbers they sum: of a saturated softmax only rounding is left to compare. */
export function toClasses(parts: Parts, value: string, size: number): string {
  const { b, weight } = parts
  const scaled = b.op('Mul', [b.op('Flatten', [value], { axis: { int: 1 } }), literal(parts, 1 / Math.sqrt(size))])
  return b.op('MatMul', [scaled, weight('head', [size, CLASSES])])
}

function atOpset(model: Uint8Array, opset: number | undefined): Uint8Array {
  if (opset === undefined) return model
  const proto = parseModel(model)
  for (const imported of proto.opsetImport) imported.version = BigInt(opset)
  return writeModel(proto)
}

/** How many numbers `build` makes of one sample. */
function widthOf(shape: readonly number[], build: Build): number {
  const graph = graphOf(buildModel(shape, build))
  return runReference(graph, normals(createPrng('one sample'), sizeOf(shape))).data.length
}

/**
 * A case whose operators see a batch of samples. A trainable tensor of the sample's shape is added to the input first, so that
 * the gradient to the operators' input is checked as well.
 */
export function batched(name: string, shape: number[], build: Build, opset?: number): Case {
  const movable: Build = (parts, input) => build(parts, parts.b.op('Add', [input, parts.weight('moved', shape)]))
  return {
    name,
    make() {
      const width = widthOf(shape, movable)
      return {
        model: atOpset(
          buildModel(shape, (parts, input) => toClasses(parts, movable(parts, input), width)),
          opset,
        ),
        shape,
      }
    },
  }
}

/** A case whose operators see weights alone, of any shape: their result, flattened, scales the input. */
export function still(name: string, build: (parts: Parts) => string, opset?: number): Case {
  const row: Build = (parts) => parts.b.op('Reshape', [build(parts), parts.b.ints([1, -1])])
  return {
    name,
    make() {
      const width = widthOf([1], row)
      const model = buildModel([width], (parts, input) => toClasses(parts, parts.b.op('Mul', [input, row(parts, input)]), width))
      return { model: atOpset(model, opset), shape: [width] }
    },
  }
}

export interface Check {
  worst: number
  loss: number
  expectedLoss: number
}

export interface CheckOptions {
  /** Numbers of each tensor that are moved. */
  samples?: number
  batch?: number
  /** Of a tensor whose gradients are all smaller, errors are relative to this: what cancels in a sum leaves float32 rounding. */
  floor?: number
}

/** Largest error of the compiled gradient, relative to the largest gradient of its tensor. */
export async function checkGradient(model: Uint8Array, shape: readonly number[], options: CheckOptions = {}): Promise<Check> {
  const { samples = 24, batch = BATCH, floor = 1e-3 } = options
  const prng = createPrng('gradient check')
  const x = normals(prng, batch * sizeOf(shape))
  const y = Int32Array.from({ length: batch }, () => prng.int(CLASSES))
  const { layout, params } = splitWeights(model)
  // One step of plain gradient descent moves the parameters by minus RATE times the gradient.
  const { params: moved, losses } = await train(model, { x, y, shape }, [Array.from(y, (_, i) => i)], { rates: [RATE] })
  const graph = graphOf(model)
  let worst = 0
  // Running statistics follow the batch, not the gradient.
  for (const { name, shape: dims, offset } of layout.filter(({ segment }) => segment !== 'stats')) {
    const size = sizeOf(dims)
    const values = Float64Array.from(params.subarray(offset, offset + size))
    const chosen = size <= samples ? [...values.keys()] : Array.from({ length: samples }, () => prng.int(size))
    let scale = floor
    let error = 0
    for (const at of chosen) {
      const loss = (delta: number) => {
        const changed = values.slice()
        changed[at]! += delta
        return referenceLoss(graph, x, y, new Map([[name, changed]]))
      }
      const expected = (loss(STEP) - loss(-STEP)) / (2 * STEP)
      scale = Math.max(scale, Math.abs(expected))
      error = Math.max(error, Math.abs((params[offset + at]! - moved[offset + at]!) / RATE - expected))
    }
    worst = Math.max(worst, error / scale)
  }
  return { worst, loss: losses[0]!, expectedLoss: referenceLoss(graph, x, y) }
}

/** What is wrong with a check, in one sentence; undefined where nothing is. */
function complaint({ worst, loss, expectedLoss }: Check): string | undefined {
  // Written so that NaN complains.
  if (!(Math.abs(loss - expectedLoss) < TOLERANCE * (1 + expectedLoss))) return `the loss is ${loss}, expected ${expectedLoss}`
  return worst < TOLERANCE ? undefined : `the gradient's relative error is ${worst}`
}

export function testGradients(t: Test, cases: readonly Case[]): void {
  for (const { name, make } of cases) {
    t.test(`the gradient of ${name} is that of its specification`, async (t) => {
      const { model, shape } = make()
      t.equal(complaint(await checkGradient(model, shape)), undefined)
    })
  }
}

/** Generated cases are many, and some of them unlucky. */
const GENERATED: CheckOptions = { samples: 8, floor: 1e-2 }

export function testAnyGradient(t: Test, name: string, cases: fc.Arbitrary<Case>, runs: number): void {
  t.test(`the gradient of any ${name} is that of its specification`, async (t) => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ name, make }) => {
        const { model, shape } = make()
        const wrong = complaint(await checkGradient(model, shape, GENERATED))
        if (wrong !== undefined) throw new Error(`${name}: ${wrong}`)
      }),
      { numRuns: runs },
    )
    t.pass()
  })
}
