// `murmur lab run` as people call it: what it prints and writes, and one sentence for each mistake.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { LabResult, RoundRecord } from '../../node/lab/run/types.ts'
import { blobFiles } from '../helpers/blobs.ts'
import { command, mistakes } from '../helpers/commands.ts'
import { temporaryFolder } from '../helpers/processes.ts'

const folder = temporaryFolder(t, { data: blobFiles(600, 200) })
const quick = ['--data', join(folder, 'data'), '--model', 'softmax', '--steps', '5', '--partition', 'iid', '--rounds', '2', '--peers', '5']

t.test('tells each round on a line and the result, and writes the report', async (t) => {
  const out = join(folder, 'out')
  const said = await command(['lab', 'run', ...quick, '--byzantine', '1', '--attack', 'alie', '--out', out])
  t.equal(said.code, 0, said.err)
  t.match(said.out, /^5 peers, 1 of which attack \(alie\); rule nnm \| trimmed-mean; topology full/)
  t.match(said.out, /Round 1 of 2: accuracy [\d.]+ % .*4 aggregated 5\.0 models, attackers' weight [\d.]+ %/)
  t.match(said.out, /Round 2 of 2: .*\nAccuracy: [\d.]+ %/)
  const { options, rounds } = JSON.parse(await readFile(join(out, 'result.json'), 'utf8')) as LabResult
  t.match(options, { peers: 5, byzantine: 1, attack: 'alie', seed: 1 })
  t.equal(rounds.length, 2)
  t.equal((await readFile(join(out, 'rounds.csv'), 'utf8')).trim().split('\n').length, 3)
})

t.test('with --json each line is an object: the rounds, and the result with them', async (t) => {
  const { code, out } = await command(['lab', 'run', ...quick, '--json'])
  t.equal(code, 0)
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string })
  t.strictSame(
    lines.map(({ type }) => type),
    ['round', 'round', 'result'],
  )
  const { type: _, ...first } = lines[0] as RoundRecord & { type: string }
  t.strictSame((lines[2] as LabResult & { type: string }).rounds[0], first)
})

t.test('a mistake is one sentence with the value and what would do', (t) =>
  mistakes(t, [
    [['lab', 'run', '--peers', '1'], /--peers cannot be "1": give at least 2/],
    [['lab', 'run', '--peers', 'many'], /--peers cannot be "many": give a/],
    [['lab', 'run', '--drop', '1'], /--drop cannot be "1": give less than 1/],
    [['lab', 'run', '--byzantine', '6', '--attack', 'alie'], /--byzantine cannot be 6 of 10 peers: give at most 5, half of them/],
    [['lab', 'run', '--attack', 'alie'], /--attack alie needs attackers: give --byzantine of at least 1/],
    [['lab', 'run', '--byzantine', '1', '--attack', 'sing-flip'], /"sing-flip" is not a known attack; known are: label-flip, sign-flip/],
    [['lab', 'run', '--rule', 'medain'], /"medain" is not a known aggregation rule; known are: mean, trimmed-mean/],
    [['lab', 'run', '--topology', 'star'], /--topology cannot be "star": give full, ring, torus/],
    [['lab', 'run', '--topology', 'regular:x'], /give a number of neighbours, such as regular:4/],
    [['lab', 'run', '--partition', 'sorted'], /--partition cannot be "sorted": give iid, dirichlet:ALPHA/],
    [['lab', 'run', '--model', 'mlp'], /The model "mlp" is neither a path to an .onnx file nor one of the built-in ones, mnist-cnn/],
    [['lab', 'run', '--model', 'autoencoder'], /The lab compares accuracies, and the model autoencoder predicts numbers/],
    [['lab', 'run', ...quick, '--data', join(folder, 'none')], /none/],
    [['lab', 'run', ...quick, '--byzantine', '2', '--attack', 'alie', '--rule', 'krum'], /needs at least 7 models to withstand 2/],
    [['lab', 'run', ...quick, '--topology', 'torus'], /5 peers make no torus/],
  ]),
)
