// The command `murmur`: what can be asked of it, with examples. Each command is one file beside this one, loaded when it is asked for.
import { Command, Option } from 'commander'
import { ZOO } from '../../models/zoo/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { localOptions, modelOptions, taskOptions, trainOptions } from '../options.ts'
import { demoFlags } from './demo-flags.ts'
import { flagsOf } from './flags.ts'
import { addLabCommands } from './lab-commands.ts'
import { wholeNumberFrom } from './whole-number.ts'

/** Exit codes: 0 done, 1 failed with a sentence on stderr, 2 wrong usage (commander), 130 interrupted. */
const FAILED = 1

const wholeNumber = wholeNumberFrom(1)

const program = new Command('murmur')
  .description('Train one model with others: no server, no trust in each other, data that never leaves its owner.')
  .version('0.1.0')
  .showHelpAfterError('(add --help for the options and examples)')
  .configureHelp({ showGlobalOptions: true })
  .addHelpText(
    'after',
    `
Examples:
  npx murmur demo                                   a whole network on this machine, with an attacker
  npx murmur start mynet --data mnist --shard 1/4   found a network; prints a line to paste elsewhere
  npx murmur join murmur1-... --data mnist --shard 2/4
  npx murmur status mynet
  npx murmur peers mynet
  npx murmur invite mynet --uses 5
  npx murmur train cnn.onnx --data mnist --epochs 2 --out trained.onnx`,
  )

const start = program
  .command('start')
  .argument('<dir>', "the peer's directory: founded there if it is new, resumed if it is not")
  .description('run a peer; in a new directory, found a network')
  .option('--json', 'print every event as one JSON object a line')
  .addHelpText(
    'after',
    `
Examples:
  npx murmur start mynet --data mnist --shard 1/4 --min-peers 4 --target-accuracy 0.98
  npx murmur start mynet --data ./scans --model ./cnn.onnx --name "Chest clinic" --admission invite
  npx murmur start mynet                            go on after a stop or a crash`,
  )
  .action(async (dir, given) => (await import('./run.ts')).startCommand(dir, given))
const agreed = flagsOf(taskOptions, 'Agreed by all peers, fixed when the network is founded:')
const own = () => flagsOf(localOptions, "This peer's own, kept in DIR/murmur.yaml:")
for (const flag of [...agreed, ...own()]) start.addOption(flag)

const join = program
  .command('join')
  .argument('[line]', 'the join line or multiaddr of a member; default: $MURMUR_JOIN, a value or a file that may come later')
  .description('join a network from this machine')
  .option('--dir <DIR>', "the peer's directory (default: murmur-<task>)")
  .option('--yes', 'do not ask before taking part')
  .option('--json', 'print every event as one JSON object a line')
  .addHelpText(
    'after',
    `
Examples:
  npx murmur join murmur1-... --data mnist --shard 2/4
  npx murmur join /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW... --data ./scans --dir clinic-b
  MURMUR_JOIN=/shared/join npx murmur join --data mnist --shard auto/8 --yes`,
  )
  .action(async (line, given) => (await import('./run.ts')).joinCommand(line, given))
for (const flag of own()) join.addOption(flag)

program
  .command('status')
  .argument('<dir>', "a running peer's directory")
  .description('what a running peer does now')
  .option('--json', 'print one JSON object')
  .addHelpText('after', '\nExample:\n  npx murmur status mynet')
  .action(async (dir, given) => (await import('./status.ts')).statusCommand(dir, given))

program
  .command('invite')
  .argument('<dir>', "the directory of the founder's or an admin's peer")
  .description('print a line that makes its bearer a member')
  .option('--uses <N>', 'how many may join with it (default: 1)', wholeNumber)
  .option('--expires <TIME>', 'how long the line can be used: 12h, 7d, or never (default: 7d)')
  .addOption(new Option('--role <ROLE>', 'peer, or admin, who may invite and revoke peers (default: peer)').choices(['peer', 'admin']))
  .option('--peer <ID>', 'make this one peer a member at once; works also while no peer runs here')
  .option('--member-for <TIME>', 'how long the membership lasts (default: for ever)')
  .option('--json', 'print one JSON object')
  .addHelpText(
    'after',
    `
Examples:
  npx murmur invite mynet --uses 5 --expires 2d
  npx murmur invite mynet --peer 12D3KooW... --member-for 30d
  npx murmur invite mynet --role admin              only where the network's founder.key is

An invite is redeemed by the peer that made it, which must run; others pass requests on to it. What an admin has signed ends
when the admin is revoked or expires.`,
  )
  .action(async (dir, given) => (await import('./members.ts')).inviteCommand(dir, given))

program
  .command('peers')
  .argument('<dir>', "a running peer's directory")
  .description('who takes part')
  .option('--json', 'print one JSON object')
  .addHelpText('after', '\nExample:\n  npx murmur peers mynet')
  .action(async (dir, given) => (await import('./members.ts')).peersCommand(dir, given))

program
  .command('revoke')
  .argument('<dir>', "the directory of the founder's or an admin's running peer")
  .argument('<peer>', 'a peer id or its last characters, or a join line whose invite is to end')
  .description('shut a member out, or end an invite, for ever')
  .option('--members', 'with an invite: shut out those who came by it, too')
  .option('--restore', 'with an admin: let those come back whom that admin had revoked')
  .option('--yes', 'do not ask before doing it')
  .option('--json', 'print one JSON object')
  .addHelpText(
    'after',
    `
Examples:
  npx murmur revoke mynet 12D3KooW...
  npx murmur revoke mynet murmur1-... --members

Only the founder revokes an admin; with it end all memberships that the admin has signed. Before it asks, the command says who that is.`,
  )
  .action(async (dir, peer, given) => (await import('./members.ts')).revokeCommand(dir, peer, given))

const train = program
  .command('train')
  .argument('<model>', `a forward model: an .onnx file, or a built-in one: ${Object.keys(ZOO).join(', ')}`)
  .description('train a model on data, alone, without a network')
  .option('--json', 'print one JSON object a step, and a last one with the evaluation')
  .addHelpText(
    'after',
    `
Examples:
  npx murmur train mnist-cnn --data mnist --epochs 2 --out trained.onnx
  npx murmur train model.onnx --data samples.npz --optimizer adam --lr 0.001 --batch-size 64
  npx murmur train tabular.onnx --data patients.csv --label diagnosis --validation 0.2
  npx murmur train net.onnx --data series.parquet --label price --loss huber --json`,
  )
  .action(async (model, given) => (await import('./train.ts')).trainCommand(model, given))
for (const flag of flagsOf(trainOptions, 'Training:')) train.addOption(flag)

const model = program.command('model').description('look at a model before it is trained')
model
  .command('inspect')
  .argument('<model>', 'an .onnx file, or the name of a built-in model')
  .description('inputs, outputs, parameters, operators, and what would be trained')
  .option('--json', 'print one JSON object')
  .action(async (name, given) => (await import('./model.ts')).inspectCommand(name, given))
model
  .command('check')
  .argument('<model>', 'an .onnx file, or the name of a built-in model')
  .description('compile the training graph, compare its gradients with finite differences, and time a step')
  .option('--json', 'print one JSON object')
  .action(async (name, given) => (await import('./model.ts')).checkCommand(name, given))
for (const command of model.commands) for (const flag of flagsOf(modelOptions, 'How it would be trained:')) command.addOption(flag)

addLabCommands(program.command('lab').description('compare aggregation rules and attacks, without a network'))

const demoCommand = program
  .command('demo')
  .description('run a whole network on this machine: honest peers and an attacker, with and without defence')
  .addHelpText(
    'after',
    `
Examples:
  npm start                                         the same as npx murmur demo
  npx murmur demo --attackers 2 --peers 8 --attack gaussian:0.5
  npx murmur demo --rule "trimmed-mean" --alpha 0.1 --json`,
  )
  .action(async (given) => (await import('./demo.ts')).demo(given))
for (const flag of demoFlags()) demoCommand.addOption(flag)

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof MurmurError) {
    process.stderr.write(`murmur: ${error.message}${error.code === 'internal' ? ` (${String(error.cause)})` : ''}\n`)
  } else {
    process.stderr.write(`murmur: unexpected failure, a defect in Murmuration: ${error instanceof Error ? error.message : String(error)}\n`)
    if (process.env.MURMUR_DEBUG) console.error(error)
  }
  process.exitCode = FAILED
}
