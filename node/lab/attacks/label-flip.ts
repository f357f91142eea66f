// Label flip: training as it should be, on data in which class y is C-1-y. What is sent is what came of that.
import { MurmurError } from '../../../protocol/errors.ts'
import type { DataSet } from '../../data/spec.ts'
import { sharedLike } from './shared-like.ts'
import type { AboutData, BoundAttack } from './types.ts'

export const labelFlip = {
  poison(data: DataSet, { classes, ignoreIndex }: AboutData) {
    if (classes === undefined)
      throw new MurmurError('bad-argument', 'The attack "label-flip" needs data with classes; this task predicts numbers.')
    const y = sharedLike(data.y)
    for (const [i, label] of data.y.entries()) y[i] = label === ignoreIndex ? label : classes - 1 - label
    return { ...data, y }
  },
} satisfies BoundAttack
