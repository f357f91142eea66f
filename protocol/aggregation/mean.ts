// The plain mean (McMahan et al., AISTATS 2017, without sample counts): the undefended baseline. One attacker moves it anywhere,
// whatever f says.
import type { Reducer } from './stages.ts'

export const mean: Reducer = {
  minInputs: () => 1,
  weighs: true,
  reduce(rows, { weights }, output) {
    rows.combine(weights, output)
    return { weights }
  },
  why: () => 'averaged',
}
