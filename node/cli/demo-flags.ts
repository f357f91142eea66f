// What can be varied in the demo.
import { Option } from 'commander'
import { z } from 'zod'
import { RULE_HELP } from '../../protocol/aggregation/help.ts'
import { ATTACKS } from '../lab/attacks.ts'

export const demoOptions = z.object({
  peers: z.coerce.number().int().min(2).max(30).default(6),
  attackers: z.coerce.number().int().min(0).max(15).default(1),
  attack: z.string().default('sign-flip:4'),
  rule: z.string().default('nnm | trimmed-mean'),
  rounds: z.coerce.number().int().min(1).max(1000).default(8),
  alpha: z.coerce.number().positive().default(0.5),
  seed: z.coerce.number().int().min(0).default(1),
  json: z.boolean().default(false),
})

export type DemoOptions = z.output<typeof demoOptions>

export function demoFlags(): Option[] {
  return [
    new Option('--peers <N>', 'processes, attackers included (default: 6)'),
    new Option('--attackers <N>', 'how many of them are malicious (default: 1)'),
    new Option(
      '--attack <NAME[:SCALE]>',
      `${Object.entries(ATTACKS)
        .map(([name, { description }]) => `${name}: ${description}`)
        .join('; ')} (default: sign-flip:4)`,
    ),
    new Option('--rule <RULE>', `${RULE_HELP} (default: nnm | trimmed-mean)`),
    new Option('--rounds <N>', 'most rounds (default: 8)'),
    new Option('--alpha <ALPHA>', 'Dirichlet alpha of the data shards: small is uneven (default: 0.5)'),
    new Option('--seed <N>', 'seed of the shards and the initial weights (default: 1)'),
    new Option('--json', 'print one JSON object as the last line'),
  ]
}
