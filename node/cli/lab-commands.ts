// `murmur lab ...`: what can be asked of the lab. The commands themselves are in lab.ts and beside it, loaded when they are asked for.
import type { Command } from 'commander'
import { attackLines } from '../lab/attacks/names.ts'
import { labOptions } from '../lab/run/schema.ts'
import { flagsOf } from './flags.ts'
import { wholeNumberFrom } from './whole-number.ts'

const countFromZero = wholeNumberFrom(0)

export function addLabCommands(lab: Command): void {
  const run = lab
    .command('run')
    .description('run a whole network of virtual peers in this process, with attackers and faults')
    .option('--out <DIR>', 'also write rounds.csv, result.json and plot.html there')
    .option('--json', 'print one JSON object a line: each round, and the result')
    .addHelpText(
      'after',
      `
The peers run the code of real ones: protocol, rounds, signatures, training and rules, over a network in memory and in virtual time. The same
options give the same results, to the bit. After each round the honest models are evaluated on the test data, at most 32 of them. The data is
dealt to the honest; attackers that train use copies of honest parts. What attackers send they make together, knowing all honest models of the
round. dissensus and spectral tell each receiver something else, which signed announcements rule out: the lab hands it over past the protocol.

Attacks:
${attackLines().join('\n')}

Examples:
  npx murmur lab run
  npx murmur lab run --byzantine 2 --attack alie --rule trimmed-mean --partition dirichlet:0.1
  npx murmur lab run --peers 100 --byzantine 10 --attack "ipm(tau=0.5)" --fanout 16 --rounds 20 --out results
  npx murmur lab run --peers 20 --topology dumbbell --f 1 --rule cs+ --partition shards:2 --drop 0.1 --churn 0.1 --delay 50 --json`,
    )
    .action(async (given) => (await import('./lab-run.ts')).runCommand(given))
  for (const flag of flagsOf(labOptions, 'The network:')) run.addOption(flag)

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

  lab
    .command('sweep')
    .argument('<file>', 'a grid file in YAML')
    .description('run a grid of lab runs in parallel, going on where it stopped, and write the table')
    .option('--out <DIR>', 'directory for the results and tables (default: murmur-lab/NAME)')
    .option('--jobs <N>', 'cells to run at once, each in a process (default: as many as cores)', wholeNumberFrom(1))
    .option('--json', 'print one JSON object a line: start, each cell, end')
    .addHelpText(
      'after',
      `
A grid file names values for options of murmur lab run, and every combination becomes a cell:

  name: quick
  options: { peers: 10, byzantine: 2, model: softmax, rounds: 10 }
  grid:
    rule: [mean, trimmed-mean, "nnm | trimmed-mean"]
    attack: [none, sign-flip, alie]
    partition: [iid, "dirichlet:0.1"]
  seeds: [1, 2, 3]                  # optional: the table shows mean and standard deviation
  table:                            # optional, these are the defaults
    { rows: rule, columns: attack, sheets: partition, value: final.accuracy.mean }

DIR/cells keeps each result as soon as it is there: after a stop or a crash the same command goes on, and tries again what failed. A cell with
too few peers for its rule says "refused" in the table. DIR/table.md, .csv, .json and .html are the table. Exit code: 0 when no cell failed.

Examples:
  npx murmur lab sweep quick.yaml
  npx murmur lab sweep quick.yaml --out results --jobs 2 --json`,
    )
    .action(async (file, given) => (await import('./lab-sweep.ts')).sweepCommand(file, given))
}
