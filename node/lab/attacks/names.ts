// The lab's attacks by name, each with its parameters and their defaults: for help texts and errors, which are shown without loading them.
export const LAB_ATTACKS = {
  'label-flip': { takes: '', is: 'trains on data whose class y became C-1-y' },
  'sign-flip': { takes: 'scale=1', is: 'the mean honest step, reversed' },
  gaussian: { takes: 'sigma=1, mu=0', is: 'noise' },
  ipm: { takes: 'tau=2', is: 'inner product manipulation: the mean honest step times -tau' },
  alie: { takes: 'z=formula', is: 'a little is enough: z standard deviations beside the mean' },
  foe: { takes: 'factor=1.1', is: 'fall of empires: the mean honest step times 1-factor' },
  mimic: { takes: 'peer=0', is: 'a copy of one honest model' },
  'optimal-ipm': { takes: 'evals=20, delta=10', is: 'ipm with the tau that moves the rule most' },
  'optimal-alie': { takes: 'evals=20, delta=10', is: 'alie with the z that moves the rule most' },
  'min-max': { takes: 'direction=std', is: 'far out, but from nobody farther than the honest are from each other; or unit, sign' },
  'fang-trim': { takes: 'b=2, r=drawn', is: 'just beyond the last honest value of each coordinate' },
  dissensus: { takes: 'epsilon=1.5', is: 'pushes the receiver away from its neighbours' },
  spectral: { takes: 'factor=1, evals=16, delta=1', is: 'pushes it along the Fiedler direction; factor=optimal: found against the rule' },
  backdoor: {
    takes: 'target=0, size=3, value=brightest, share=0.5, scale=all',
    is: 'trains on data with a trigger, and scales the step up to replace the model',
  },
  drift: { takes: 'z=formula', is: 'as alie, to the same sides each round' },
  adaptive: { takes: '', is: 'tries those above on the rule, and sends what moves it most' },
  'free-rider': { takes: 'sent=stale', is: 'sends the model that the round started from; or received: that of another' },
} as const

export type LabAttackName = keyof typeof LAB_ATTACKS

/** What may stand before an attack, as in `sleeper(5) | alie`. */
export const LAB_TIMINGS = {
  sleeper: { takes: 'rounds=5', is: 'before "|": honest for so many rounds, in the lab run' },
  sybil: { takes: 'round=5', is: 'before "|": they join only at the beginning of this round, in the lab run' },
} as const

/** A line an attack. */
export const attackLines = (): string[] =>
  Object.entries({ ...LAB_ATTACKS, ...LAB_TIMINGS }).map(
    ([name, { takes, is }]) => `  ${(takes === '' ? name : `${name}(${takes})`).padEnd(38)} ${is}`,
  )
