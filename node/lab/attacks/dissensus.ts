// Dissensus (He, Karimireddy and Jaggi 2022, "Byzantine-Robust Decentralized Learning via ClippedGossip"): tells each receiver what lies
// opposite of its honest neighbours, with all the weight that the attackers have there, so that peers do not come together.
import { MurmurError } from '../../../protocol/errors.ts'
import type { BoundAttack } from './types.ts'
import { alike } from './vectors.ts'

export const dissensus = (epsilon: number): BoundAttack => ({
  forge({ honest, f, own, weights }) {
    const theirs = weights.subarray(honest.length).reduce((sum, weight) => sum + weight, 0)
    if (!(theirs > 0))
      throw new MurmurError('bad-argument', 'The attack "dissensus" needs a receiver that gives the attackers some weight.')
    const center = honest[own]!
    const pull = new Float64Array(center.length)
    for (const [j, vector] of honest.entries()) {
      const weight = weights[j]!
      if (weight > 0) for (let c = 0; c < pull.length; c++) pull[c]! += weight * (vector[c]! - center[c]!)
    }
    const forged = pull.map((sum, c) => center[c]! - (epsilon * sum) / theirs)
    return alike(f, forged)
  },
  perTarget: true,
})
