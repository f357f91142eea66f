// A recurrent language model: from each token of a text to scores for the next one.
import type { Prng } from '../../protocol/prng.ts'
import { TYPE } from '../graph.ts'
import { normal, uniform, values } from './init.ts'
import { GLOROT, layers } from './layers.ts'

export interface GruOptions {
  vocabulary?: number
  /** Tokens of a sample. */
  context?: number
  /** Numbers that a token becomes. */
  embedding?: number
  hidden?: number
}

export function gru(prng: Prng, { vocabulary = 65, context = 32, embedding = 64, hidden = 128 }: GruOptions = {}): Uint8Array {
  const n = layers('char-gru', prng, [context], TYPE.int64)
  // As PyTorch starts a GRU, but for biases of zero.
  const init = uniform(1 / Math.sqrt(hidden))
  const gates = 3 * hidden
  const parameters = [
    n.parameter('gru.weight', [1, gates, embedding], init(prng, gates * embedding, embedding, hidden)),
    n.parameter('gru.recurrence', [1, gates, hidden], init(prng, gates * hidden, hidden, hidden)),
    n.parameter('gru.bias', [1, 2 * gates], values(2 * gates, 0)),
  ]
  let x = n.embedding(n.input, 'embedding', vocabulary, embedding, normal(1))
  // The operator takes time first, and gives [time, direction, batch, hidden].
  x = n.op('Transpose', [x], { perm: { ints: [1, 0, 2] } })
  x = n.op('GRU', [x, ...parameters], { hidden_size: { int: hidden }, linear_before_reset: { int: 1 } })
  x = n.op('Transpose', [n.op('Squeeze', [x, n.ints([1])])], { perm: { ints: [1, 0, 2] } })
  return n.finish(n.dense(x, 'head', hidden, vocabulary, GLOROT), [context, vocabulary])
}
