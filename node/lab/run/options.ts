// The options of a run, read and checked.
import { parseLabRule } from '../../../protocol/aggregation/index.ts'
import { MurmurError } from '../../../protocol/errors.ts'
import { parseOptions } from '../../options.ts'
import { parseLabAttack } from '../attacks/index.ts'
import { parsePartition } from './partition.ts'
import { labOptions } from './schema.ts'
import { parseTopology } from './topology.ts'
import type { LabOptions } from './types.ts'

/** @throws bad-argument, bad-config, task-invalid: one sentence that names the value and what would do */
export function parseLabOptions(values: Record<string, unknown>): LabOptions {
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
  const { attack, f, fanout, codec, label, loss, ...rest } = parseOptions(labOptions, given)
  const options: LabOptions = {
    ...rest,
    ...(attack !== 'none' && { attack }),
    ...(f !== undefined && { f }),
    ...(fanout !== undefined && { fanout }),
    ...(codec !== undefined && { codec }),
    ...(label !== undefined && { label }),
    ...(loss !== undefined && { loss }),
  }
  parseLabRule(options.rule)
  if (options.attack !== undefined) parseLabAttack(options.attack)
  parsePartition(options.partition)
  parseTopology(options.topology)
  const { peers, byzantine } = options
  const most = Math.floor(peers / 2)
  if (byzantine > most) {
    throw new MurmurError('bad-argument', `--byzantine cannot be ${byzantine} of ${peers} peers: give at most ${most}, half of them.`)
  }
  if (options.attack !== undefined && byzantine === 0) {
    throw new MurmurError('bad-argument', `--attack ${options.attack} needs attackers: give --byzantine of at least 1, or no attack.`)
  }
  return options
}

export const labDefaults: LabOptions = parseLabOptions({})
