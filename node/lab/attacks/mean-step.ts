// Attacks along the mean honest step. Sign flip: reversed. IPM (Xie et al., UAI 2019, "Fall of Empires"): its inner product with the true
// one is negative, however small it is. FOE: the same family in the convention of EPFL's code.
import type { BoundAttack } from './types.ts'
import { alike, meanOf, scaledStep } from './vectors.ts'

const timesMean = (factor: number): BoundAttack => ({
  forge: ({ honest, f, start }) => alike(f, scaledStep(meanOf(honest), factor, start)),
})

export const signFlip = (scale: number): BoundAttack => timesMean(-scale)
export const ipm = (tau: number): BoundAttack => timesMean(-tau)
export const foe = (factor: number): BoundAttack => timesMean(1 - factor)
