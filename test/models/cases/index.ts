// All cases of the gradient tests, one file a family: a new operator needs a case in one of them and a line in ../reference/.
import type { Case } from './case.ts'
import { ELEMENTWISE } from './elementwise.ts'
import { INDEXING } from './indexing.ts'
import { LINEAR } from './linear.ts'
import { NORMALIZATIONS } from './normalization.ts'
import { RECURRENT } from './recurrent.ts'
import { REDUCTIONS } from './reduction.ts'
import { SHAPING } from './shaping.ts'
import { CONVOLUTIONS, POOLS } from './windows.ts'

export const CASES: readonly Case[] = [
  ...CONVOLUTIONS,
  ...ELEMENTWISE,
  ...INDEXING,
  ...LINEAR,
  ...NORMALIZATIONS,
  ...POOLS,
  ...RECURRENT,
  ...REDUCTIONS,
  ...SHAPING,
]
