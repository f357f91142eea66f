// The data of a process that misbehaves by what it trains on.
import { isClasses, type LossOptions } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import type { LoadedData } from '../data/load.ts'
import type { DataSchema } from '../data/spec.ts'
import type { AboutData } from './attacks/types.ts'
import { parseNamed } from './attacks.ts'
import { MISBEHAVIOURS } from './misbehaviour.ts'

interface Agreed {
  data: DataSchema
  loss: Pick<LossOptions, 'ignoreIndex'>
}

/** The data as it is, unless `text`, as in `misbehaving`, names an attack on data: then other training data. @throws bad-argument */
export function poisoned(data: LoadedData, text: string | undefined, agreed: Agreed, seed: string): LoadedData {
  const attack = text === undefined ? undefined : parseNamed(text, MISBEHAVIOURS).entry
  if (attack?.poison === undefined) return data
  if (data.stream !== undefined) {
    throw new MurmurError('bad-argument', `The attack "${text}" changes data in memory, and this data is read in parts; raise --memory.`)
  }
  return { ...data, train: attack.poison(data.train, aboutData(agreed, seed)), summary: `${data.summary}, changed for the attack ${text}` }
}

export function aboutData({ data: { input, target }, loss }: Agreed, seed: string): AboutData {
  const classes = isClasses(target) ? target.size : target.kind === 'binary' ? 2 : undefined
  return { sampleShape: input.shape, classes, ignoreIndex: loss.ignoreIndex, seed }
}
