// What a misbehaving peer announces instead of its honest update. Only a test task lets a process use these.
// An attack acts on the delta from the round's start, and the attacker itself goes on from the honest aggregate:
// one that followed its own forged model would run off to float32's overflow within a few rounds.
import { MurmurError } from '../../protocol/errors.ts'
import { createPrng } from '../../protocol/prng.ts'
import type { Forge } from '../peer/parts.ts'
import { backdoor } from './attacks/backdoor.ts'
import { labelFlip } from './attacks/label-flip.ts'
import { LAB_ATTACKS } from './attacks/names.ts'
import type { BoundAttack } from './attacks/types.ts'

interface Attack {
  description: string
  scale: number
  forge(honest: Parameters<Forge>[0], scale: number, seed: string): Float32Array
  /** What it trains on instead of its own data. */
  poison?: NonNullable<BoundAttack['poison']>
}

const scaled: Attack['forge'] = ({ start, trained }, scale) => trained.map((value, i) => start[i]! + scale * (value - start[i]!))

const BACKDOOR = backdoor({ target: 0, size: 3, value: 'brightest', share: 0.5, scale: 'all' })

export const ATTACKS: Record<string, Attack> = {
  'sign-flip': {
    description: 'the honest step reversed and scaled',
    scale: 4,
    forge: (honest, scale) => scaled(honest, -scale, ''),
  },
  boost: {
    description: 'the honest step scaled up',
    scale: 10,
    forge: scaled,
  },
  gaussian: {
    description: 'noise of the given standard deviation',
    scale: 1,
    forge: ({ start, round }, scale, seed) => {
      const prng = createPrng(`${seed} ${round}`)
      return start.map((value) => value + scale * prng.normal())
    },
  },
  'free-rider': { description: 'the model that the round started from, untrained', scale: 1, forge: ({ start }) => start.slice() },
  'label-flip': {
    description: 'a step of training on data whose class y became C-1-y, scaled',
    scale: 1,
    forge: scaled,
    poison: labelFlip.poison,
  },
  backdoor: {
    description: 'a step of training on data half of which carries a trigger for class 0, scaled up',
    scale: 5,
    forge: scaled,
    poison: BACKDOOR.poison,
  },
  nan: { description: 'not a number everywhere', scale: 1, forge: ({ start }) => start.map(() => Number.NaN) },
  huge: { description: '3e38 everywhere', scale: 3e38, forge: ({ start }, scale) => start.map(() => scale) },
}

/** Reads `NAME[:SCALE]`; the scale is the table's where none is given. @throws bad-argument */
export function parseNamed<T extends { scale: number }>(text: string, known: Record<string, T>): { name: string; scale: number; entry: T } {
  const [name = '', given] = text.split(':')
  const entry = Object.hasOwn(known, name) ? known[name] : undefined
  const scale = given === undefined ? entry?.scale : Number(given)
  // Its parameters would be in brackets, as the lab's are.
  const inLab = name.split('(')[0]!.trim()
  if (entry === undefined && Object.hasOwn(LAB_ATTACKS, inLab) && !Object.hasOwn(known, inLab)) {
    throw new MurmurError(
      'bad-argument',
      `The attack "${inLab}" needs the models of others of the same round, which a process does not have in time: it works in murmur lab alone; use one of ${Object.keys(known).join(', ')}.`,
    )
  }
  if (entry === undefined || scale === undefined || !Number.isFinite(scale) || given === '') {
    throw new MurmurError(
      'bad-argument',
      `The attack "${text}" is unknown; use NAME or NAME:SCALE with one of ${Object.keys(known).join(', ')}.`,
    )
  }
  return { name, scale, entry }
}

/** Reads `NAME[:SCALE]`. @throws bad-argument */
export function parseAttack(text: string): { name: string; scale: number; text: string; forge: (seed: string) => Forge } {
  const { name, scale, entry } = parseNamed(text, ATTACKS)
  return { name, scale, text: `${name}:${scale}`, forge: (seed) => (honest) => entry.forge(honest, scale, seed) }
}
