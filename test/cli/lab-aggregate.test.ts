// `murmur lab aggregate`: anyone can compare our rules with another library's, on a matrix of their own.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { aggregateCommand } from '../../node/cli/lab.ts'
import { readRows } from '../../node/cli/lab-matrix.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { matrix, npyFile } from '../data/npy-file.ts'
import { command } from '../helpers/commands.ts'
import { temporaryFolder } from '../helpers/processes.ts'

interface Case {
  X: number[][]
  aggregators: { rule: string; params: { idx?: number }; out: number[] }[]
  pipelines: { rule: string; out: number[] }[]
}
const vectors = new URL('../protocol/aggregation-vectors.json', import.meta.url)
const { X, aggregators, pipelines } = (JSON.parse(readFileSync(vectors, 'utf8')) as { cases: Case[] }).cases[0]!

const near = (a: number[], b: number[]) => a.length === b.length && a.every((x, i) => Math.abs(x - b[i]!) <= 1e-9)
const aggregate = (args: string[]) => command(['lab', 'aggregate', ...args])

async function aggregated(t: Test, args: string[]) {
  const { code, out, err } = await aggregate(args)
  t.equal(code, 0, err)
  return JSON.parse(out)
}

t.test('prints the output and what became of each row, as one object', async (t) => {
  const file = join(temporaryFolder(t, { 'models.npy': matrix(X) }), 'models.npy')
  const { code, out, err } = await aggregate(['--rule', 'nna', '--byzantine', '2', '--own', '3', '--json', file])
  t.equal(code, 0, err)
  t.equal(out.trim().split('\n').length, 1)
  const { output, inputs } = JSON.parse(out)
  t.ok(near(output, aggregators.find(({ rule, params }) => rule === 'MoNNA' && params.idx === 3)!.out))
  t.equal(inputs.length, 7)
  t.match(inputs[3], { weight: 0.2, distance: 0, kept: true, why: 'averaged' })
  t.match(inputs[6], { weight: 0, kept: false, why: 'among the farthest' })
  const pretty = await aggregated(t, ['--rule', 'clip(2) | nnm | trimmed-mean', '--byzantine', '2', file])
  t.ok(near(pretty.output, pipelines.find(({ rule }) => rule === 'Clipping(2)>NNM>TrMean')!.out))
  t.match(pretty.inputs[6], { clip: Number, trimmed: 1, why: 'trimmed' })
})

t.test('reads float32 and whole numbers, and weighs rows', async (t) => {
  const dir = temporaryFolder(t, {
    'narrow.npy': npyFile('<f4', [3, 1], Float32Array.of(1, 2, 6)),
    'whole.npy': npyFile('<i8', [3, 1], BigInt64Array.of(1n, 2n, 6n)),
  })
  const { output } = await aggregated(t, ['--rule', 'mean', '--byzantine', '0', '--weights', '1,1,2', join(dir, 'whole.npy')])
  t.same(output, [3.75])
  t.same(
    await readRows(join(dir, 'narrow.npy')),
    [[1], [2], [6]].map((row) => Float64Array.from(row)),
  )
})

t.test('refuses bad input in one sentence that names the value and what is allowed', async (t) => {
  const dir = temporaryFolder(t, {
    'models.npy': matrix(X),
    'nan.npy': matrix([
      [1, 2],
      [3, Number.NaN],
      [5, 6],
    ]),
    'infinite.npy': matrix([
      [1, Number.NEGATIVE_INFINITY],
      [3, 4],
    ]),
    'empty.npy': npyFile('<f8', [0, 3], new Float64Array()),
    'line.npy': npyFile('<f8', [3], Float64Array.of(1, 2, 3)),
    'ragged.npy': npyFile('|O', [2], new Uint8Array(16)),
    'text.npy': 'no array',
    'truth.npy': npyFile('|b1', [1, 2], Uint8Array.of(0, 1)),
  })
  const seven = (weights: string) => ({ file: 'models.npy', byzantine: 0, weights })
  const refused: [Partial<Parameters<typeof aggregateCommand>[1]> & { file: string }, RegExp][] = [
    [
      { file: 'models.npy', rule: 'cs+', byzantine: 4 },
      /"cs\+" needs at least 9 rows .* 4 attackers, and .*models\.npy has 7; .* at most 3\./,
    ],
    [{ file: 'infinite.npy', rule: 'krum' }, /needs at least 3 rows .* has 2; give at least 3 rows\./],
    [{ file: 'models.npy', rule: 'crum' }, /"crum" is not a known aggregation rule; known are: mean, .*, ubar\./],
    [{ file: 'models.npy', rule: 'clip(-1) | mean' }, /"c" of "clip" is -1; it must be a number above 0\./],
    [{ file: 'models.npy', own: 7 }, /index 7 of 7; give one of 0 to 6\./],
    [{ file: 'nan.npy' }, /Vector 1 holds NaN at coordinate 1; values must be finite/],
    [{ file: 'infinite.npy' }, /Vector 0 holds -Infinity at coordinate 1/],
    [{ file: 'empty.npy' }, /shape \(0, 3\); give a matrix of at least one row and one column\./],
    [{ file: 'line.npy' }, /shape \(3\); give a matrix/],
    [{ file: 'ragged.npy' }, /Python objects, which are not read; save numbers\./],
    [{ file: 'text.npy' }, /does not begin as one\./],
    [{ file: 'truth.npy' }, /holds booleans; give numbers/],
    [{ file: 'none.npy' }, /none\.npy does not exist; give an \.npy file\./],
    [seven('1,-1,1,1,1,1,1'), /Weight 1 is -1; weights must be finite and 0 or more\./],
    [seven('1,x'), /weight "x" is no number/],
    [seven('1,1'), /2 weights for 7 vectors/],
    [{ ...seven('1,1,1,1,1,1,1'), rule: 'median' }, /"median" does not weigh its inputs/],
  ]
  for (const [{ file, ...given }, message] of refused) {
    const settings = { rule: 'mean', byzantine: 0, own: 0, seed: '0', ...given }
    const error = await aggregateCommand(join(dir, file), settings).catch((error: unknown) => error)
    t.ok(isMurmurError(error))
    t.match((error as Error).message, message, message.source)
    t.notMatch((error as Error).message, '\n', 'one line')
  }
  const wrong = await aggregate(['--rule', 'mean', '--byzantine', '-1', 'models.npy'])
  t.match(wrong, { code: 1, out: '', err: /argument '-1' is invalid\. Give a whole number from 0\./ })
  const failed = await aggregate(['--rule', 'cs+', '--byzantine', '4', join(dir, 'models.npy')])
  t.match(failed, { code: 1, out: '', err: /^murmur: The rule "cs\+" needs at least 9 rows .*\n$/ })
})
