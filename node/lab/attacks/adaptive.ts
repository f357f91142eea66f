// Attackers that try others' attacks on the receivers' rule, each round anew, and send what moves it farthest from the honest mean.
import { alie } from './alie.ts'
import { mimic } from './copies.ts'
import { harmTo } from './line-search.ts'
import { ipm, signFlip } from './mean-step.ts'
import { minMax } from './min-max.ts'
import type { BoundAttack, Knowledge } from './types.ts'

/** From the loudest to those that hide; `alie` with a z of its own, as the formula has none for a majority. */
const TRIED: readonly BoundAttack[] = [
  signFlip(1),
  ipm(2),
  ipm(0.5),
  ipm(0.1),
  alie(0.5),
  alie(1.5),
  alie(3),
  minMax('std'),
  minMax('unit'),
  mimic(0),
]

export const adaptive: BoundAttack = {
  againstRule: true,
  forge(known: Knowledge) {
    const harm = harmTo('adaptive', known)
    const tried = TRIED.map(({ forge }) => forge!(known))
    const harms = tried.map(harm)
    return tried[harms.indexOf(Math.max(...harms))]!
  },
}
