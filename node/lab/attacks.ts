// What a misbehaving peer announces instead of its honest update. Only a test task lets a process use these.
// An attack acts on the delta from the round's start, and the attacker itself goes on from the honest aggregate:
// one that followed its own forged model would run off to float32's overflow within a few rounds.
import { MurmurError } from '../../protocol/errors.ts'
import { createPrng } from '../../protocol/prng.ts'
import type { Forge } from '../peer/parts.ts'

interface Attack {
  description: string
  scale: number
  forge(honest: Parameters<Forge>[0], scale: number, seed: string): Float32Array
}

export const ATTACKS: Record<string, Attack> = {
  'sign-flip': {
    description: 'the honest step reversed and scaled',
    scale: 4,
    forge: ({ start, trained }, scale) => trained.map((value, i) => start[i]! - scale * (value - start[i]!)),
  },
  boost: {
    description: 'the honest step scaled up',
    scale: 10,
    forge: ({ start, trained }, scale) => trained.map((value, i) => start[i]! + scale * (value - start[i]!)),
  },
  gaussian: {
    description: 'noise of the given standard deviation',
    scale: 1,
    forge: ({ start, round }, scale, seed) => {
      const prng = createPrng(`${seed} ${round}`)
      return start.map((value) => value + scale * prng.normal())
    },
  },
  nan: { description: 'not a number everywhere', scale: 1, forge: ({ start }) => start.map(() => Number.NaN) },
  huge: { description: '3e38 everywhere', scale: 3e38, forge: ({ start }, scale) => start.map(() => scale) },
}

/** Reads `NAME[:SCALE]`; the scale is the table's where none is given. @throws bad-argument */
export function parseNamed<T extends { scale: number }>(text: string, known: Record<string, T>): { name: string; scale: number; entry: T } {
  const [name = '', given] = text.split(':')
  const entry = Object.hasOwn(known, name) ? known[name] : undefined
  const scale = given === undefined ? entry?.scale : Number(given)
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
