// Attackers that send what others made. Mimic (Karimireddy et al., ICLR 2022): all copy one honest peer, whose data then counts too much.
// Free riders (Fraboni et al., AISTATS 2021) save the training: they send the model that the round started from, or one that they received.
import { MurmurError } from '../../../protocol/errors.ts'
import type { BoundAttack } from './types.ts'
import { alike } from './vectors.ts'

export const mimic = (peer: number): BoundAttack => ({
  forge({ honest, f }) {
    const copied = honest[peer]
    if (copied !== undefined) return alike(f, Float64Array.from(copied))
    throw new MurmurError(
      'bad-argument',
      `The attack "mimic" copies row ${peer}, but there are ${honest.length}; give 0 to ${honest.length - 1}.`,
    )
  },
})

export const SENT = ['stale', 'received'] as const

/** @param sent 'received': each attacker passes on another one's */
export const freeRider = (sent: (typeof SENT)[number]): BoundAttack => ({
  forge({ honest, f, start }) {
    if (sent === 'received') return Array.from({ length: f }, (_, k) => Float64Array.from(honest[k % honest.length]!))
    if (start !== undefined) return alike(f, Float64Array.from(start))
    throw new MurmurError(
      'bad-argument',
      'The attack "free-rider" sends the model from which the round started: give it with --start, or use free-rider(received).',
    )
  },
})
