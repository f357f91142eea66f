// Dropout whose mask is a function of the step's seed, the place in the graph and the position: the same on every machine, however
// the steps fall into runs. onnxruntime's own generators keep a state that a restart would lose.
import { sizeOf } from '../../protocol/layout.ts'
import type { Builder } from '../builder.ts'
import { floatAttribute, int64Tensor, intAttribute, TYPE } from '../graph.ts'
import { toFloat } from './elementwise.ts'
import type { Operator, Operators } from './types.ts'

/** Odd multipliers of SplitMix64 (Steele, Lea and Flood 2014), as two's complement. */
const GOLDEN = BigInt.asIntN(64, 0x9e3779b97f4a7c15n)
const MIX = BigInt.asIntN(64, 0xbf58476d1ce4e5b9n)
/** Bits of the hash that are compared: what float32 holds exactly. */
const BITS = 24

const cast = (b: Builder, value: string, to: number): string => b.op('Cast', [value], { to: { int: to } })

/** `count` numbers, uniform over the integers below 2^BITS, as float32: one round of SplitMix64 over counter and seed. */
function uniform(b: Builder, count: number, seed: string, salt: number): string {
  const number = (value: bigint) => b.tensor(int64Tensor(BigInt64Array.of(value), []))
  // Counted in the graph: a constant of them would be larger than most models.
  const positions = b.op('Range', [number(1n), number(BigInt(count) + 1n), number(1n)])
  const counters = b.op('Mul', [positions, number(GOLDEN)])
  const place = b.tensor(int64Tensor(BigInt64Array.of(BigInt.asIntN(64, BigInt(salt + 1) * MIX)), [1]))
  const key = b.op('Mul', [b.op('Add', [seed, place]), b.tensor(int64Tensor(BigInt64Array.of(MIX), [1]))])
  const shift = (value: string, bits: number) => {
    const by = b.tensor({ type: TYPE.uint64, dims: [1], data: new Uint8Array(BigUint64Array.of(BigInt(bits)).buffer) })
    return b.op('BitShift', [value, by], { direction: { string: 'RIGHT' } })
  }
  const state = cast(b, b.op('Add', [counters, key]), TYPE.uint64)
  const folded = cast(b, b.op('BitwiseXor', [state, shift(state, 30)]), TYPE.int64)
  const mixed = b.op('Mul', [folded, b.tensor(int64Tensor(BigInt64Array.of(MIX), [1]))])
  return cast(b, shift(cast(b, mixed, TYPE.uint64), 64 - BITS), TYPE.float32)
}

/** Results: the dropped values, and what each was multiplied with: 0, or 1 / (1 - ratio). */
const dropout: Operator = {
  results: 2,
  shapes: ({ shapes }) => [shapes[0]!, shapes[0]!],
  emit({ node, b, shapes }) {
    const dims = shapes[0]!
    const ratio = floatAttribute(node, 'ratio', 0.5)
    const drawn = uniform(b, sizeOf(dims), node.inputs[1]!, intAttribute(node, 'salt', 0))
    const kept = b.op('GreaterOrEqual', [drawn, b.scalar(ratio * 2 ** BITS)])
    const factor = b.op('Mul', [toFloat(b, kept), b.scalar(1 / (1 - ratio))])
    const [y = '', mask = ''] = node.outputs
    b.add({ op: 'Reshape', name: node.name, inputs: [factor, b.ints(dims)], outputs: [mask], attributes: {} })
    b.add({ op: 'Mul', name: node.name, inputs: [node.inputs[0]!, mask], outputs: [y], attributes: {} })
  },
  gradient: ({ b, grad, node }) => [b.op('Mul', [grad, node.outputs[1]!])],
}

export const regularization: Operators = { 'own.Dropout': dropout }
