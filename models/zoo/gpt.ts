// A decoder-only transformer in the shape of GPT-2 (Radford et al. 2019): from each token of a text to scores for the next one.
import type { Prng } from '../../protocol/prng.ts'
import { floatTensor, TYPE } from '../graph.ts'
import { normal } from './init.ts'
import { layers } from './layers.ts'

export interface GptOptions {
  vocabulary?: number
  /** Tokens of a sample. */
  context?: number
  layers?: number
  /** Attention heads; they divide `width`. */
  heads?: number
  width?: number
}

/** GPT-2's. */
const DEVIATION = 0.02
/** Added to the scores of tokens to come, so that softmax gives them zero; infinities would make NaN of a difference. */
const MASKED = -1e9

export function gpt(prng: Prng, { vocabulary = 65, context = 64, layers: depth = 2, heads = 4, width = 64 }: GptOptions = {}): Uint8Array {
  const n = layers('char-gpt', prng, [context], TYPE.int64)
  const init = normal(DEVIATION)
  /** Of the layers that add to the residual stream: its variance stays the same whatever the depth. */
  const residual = { init: normal(DEVIATION / Math.sqrt(2 * depth)) }
  const size = width / heads
  const causal = Float32Array.from({ length: context * context }, (_, i) => (i % context > Math.floor(i / context) ? MASKED : 0))
  const mask = n.fixed(floatTensor(causal, [context, context]))
  const scale = n.fixed(floatTensor([1 / Math.sqrt(size)], []))
  const thirds = n.ints([width, width, width])
  const split = n.ints([0, 0, heads, size])
  const join = n.ints([0, 0, width])

  function attention(x: string, name: string): string {
    const qkv = n.ops('Split', [n.dense(x, `${name}.qkv`, width, 3 * width, { init }), thirds], 3, { axis: { int: 2 } })
    // The keys already transposed.
    const perms = [
      [0, 2, 1, 3],
      [0, 2, 3, 1],
      [0, 2, 1, 3],
    ]
    const [q, k, v] = qkv.map((part, i) => n.op('Transpose', [n.op('Reshape', [part, split])], { perm: { ints: perms[i]! } }))
    const scores = n.op('Add', [n.op('MatMul', [n.op('Mul', [q!, scale]), k!]), mask])
    const mixed = n.op('MatMul', [n.op('Softmax', [scores], { axis: { int: -1 } }), v!])
    const joined = n.op('Reshape', [n.op('Transpose', [mixed], { perm: { ints: [0, 2, 1, 3] } }), join])
    return n.dense(joined, `${name}.out`, width, width, residual)
  }
  function perceptron(x: string, name: string): string {
    const hidden = n.op('Gelu', [n.dense(x, `${name}.up`, width, 4 * width, { init })])
    return n.dense(hidden, `${name}.down`, 4 * width, width, residual)
  }

  const tokens = n.embedding(n.input, 'tokens', vocabulary, width, init)
  let x = n.op('Add', [tokens, n.parameter('positions.weight', [context, width], init(prng, context * width, width, width))])
  for (let layer = 1; layer <= depth; layer++) {
    const name = `layer${layer}`
    x = n.op('Add', [x, attention(n.layerNorm(x, `${name}.norm1`, width), `${name}.attention`)])
    x = n.op('Add', [x, perceptron(n.layerNorm(x, `${name}.norm2`, width), `${name}.mlp`)])
  }
  const scores = n.dense(n.layerNorm(x, 'norm', width), 'head', width, vocabulary, { init, bias: false })
  return n.finish(scores, [context, vocabulary])
}
