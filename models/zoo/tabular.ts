// A network for tables: category codes and numbers in one row of float32, the categories through embeddings.
import type { Prng } from '../../protocol/prng.ts'
import { TYPE } from '../graph.ts'
import { normal } from './init.ts'
import { GLOROT, layers } from './layers.ts'

export interface TabularOptions {
  /** Of the first columns, how many values each takes: codes from 0, whole numbers held as float32. */
  categories?: readonly number[]
  /** How many columns of numbers follow. */
  numbers?: number
  classes?: number
  hidden?: readonly number[]
}

/** A category of so many values becomes this many numbers: half of them, at most 50. */
const embeddingWidth = (size: number): number => Math.min(50, Math.ceil(size / 2))

export function tabular(
  prng: Prng,
  { categories = [8, 12, 5], numbers = 10, classes = 2, hidden = [64, 32] }: TabularOptions = {},
): Uint8Array {
  const split = categories.length
  const columns = split + numbers
  const n = layers('tabular', prng, [columns])
  const slice = (from: number, to: number) => n.op('Slice', [n.input, n.ints([from]), n.ints([to]), n.ints([1])])
  const codes = n.op('Cast', [slice(0, split)], { to: { int: TYPE.int64 } })
  const embedded = categories.map((size, column) => {
    const code = n.op('Gather', [codes, n.ints([column], [])], { axis: { int: 1 } })
    return n.embedding(code, `embedding${column + 1}`, size, embeddingWidth(size), normal(1))
  })
  let x = n.op('Concat', [...embedded, slice(split, columns)], { axis: { int: 1 } })
  let from = categories.reduce((sum, size) => sum + embeddingWidth(size), numbers)
  for (const [i, to] of hidden.entries()) {
    x = n.relu(n.linear(x, `fc${i + 1}`, from, to))
    from = to
  }
  return n.finish(n.linear(x, `fc${hidden.length + 1}`, from, classes, GLOROT), [classes])
}
