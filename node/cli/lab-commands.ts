// `murmur lab ...`: what can be asked of the lab. The commands themselves are in lab.ts and beside it, loaded when they are asked for.
import type { Command } from 'commander'
import { attackLines } from '../lab/attacks/names.ts'
import { wholeNumberFrom } from './whole-number.ts'

const countFromZero = wholeNumberFrom(0)

export function addLabCommands(lab: Command): void {
  lab
    .command('aggregate')
    .argument('<file>', 'an .npy file: one row a peer, one column a coordinate')
    .description('apply an aggregation rule to vectors, in float64')
    .requiredOption('--rule <RULE>', 'such as trimmed-mean, or "clip(2) | nnm | trimmed-mean"')
    .requiredOption('--byzantine <F>', 'how many of the rows the rule must withstand as attackers', countFromZero)
    .option('--own <I>', 'the row that is the own model, counted from 0', countFromZero, 0)
    .option('--weights <W,W,...>', 'what each row counts for (default: all alike)')
    .option('--losses <L,L,...>', 'the loss of each row on the own data, which ubar looks at')
    .option('--seed <TEXT>', 'seeds what bucketing and caf draw', '0')
    .option('--json', 'print the object on one line')
    .addHelpText(
      'after',
      `
Prints {"output": [...], "inputs": [{"weight", "distance", "kept", "why", ...}, ...]}, an input for each row.

Examples:
  npx murmur lab aggregate --rule cs+ --byzantine 2 models.npy
  npx murmur lab aggregate --rule "nnm | trimmed-mean" --byzantine 1 --own 3 models.npy --json
  npx murmur lab aggregate --rule mean --byzantine 0 --weights 1,1,2 three.npy`,
    )
    .action(async (file, given) => (await import('./lab.ts')).aggregateCommand(file, given))

  lab
    .command('forge')
    .argument('<file>', 'an .npy file: the honest models, one row a peer, one column a coordinate')
    .description('make the vectors of colluding attackers that know the honest ones, in float64')
    .requiredOption('--attack <ATTACK>', 'such as alie, or "ipm(tau=0.5)", or another of those below')
    .requiredOption('--byzantine <F>', 'how many attackers there are', countFromZero)
    .option('--rule <RULE>', 'the rule that an optimal attack works against')
    .option('--own <I>', 'the row of the peer that receives the vectors, counted from 0', countFromZero, 0)
    .option(
      '--start <FILE>',
      'an .npy file with one row: the model that training began from; attacks then act on the steps (default: zero)',
    )
    .option('--trained <FILE>', 'an .npy file with a row for each attacker: what it trained on data that it changed')
    .option('--seed <TEXT>', 'seeds what an attack draws', '0')
    .option('--json', 'print the object on one line')
    .addHelpText(
      'after',
      `
Prints {"vectors": [[...], ...]}, a vector for each attacker.

Attacks:
${attackLines().join('\n')}

Examples:
  npx murmur lab forge --attack alie --byzantine 2 honest.npy
  npx murmur lab forge --attack optimal-ipm --rule "nnm | trimmed-mean" --byzantine 2 honest.npy --json
  npx murmur lab forge --attack "backdoor(scale=5)" --byzantine 1 --start start.npy --trained poisoned.npy honest.npy`,
    )
    .action(async (file, given) => (await import('./lab-forge.ts')).forgeCommand(file, given))
}
