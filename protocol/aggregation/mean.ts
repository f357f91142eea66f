// The plain mean: the undefended baseline. One attacker moves it anywhere, whatever f says.
import { BLOCK, forEachBlock, meanInto } from './rows.ts'
import type { Reducer } from './stages.ts'

export const mean: Reducer = {
  minInputs: () => 1,
  reduce(rows, _f, output) {
    const all = Array.from({ length: rows.count }, (_, i) => i)
    const sums = new Float64Array(BLOCK)
    forEachBlock(rows, rows.length, (block, start, width) => {
      meanInto(sums, 0, block, all, width)
      output.set(sums.subarray(0, width), start)
    })
    return new Float64Array(rows.count).fill(1 / rows.count)
  },
  why: () => 'averaged',
}
