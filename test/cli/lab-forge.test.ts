// `murmur lab forge`: anyone can compare our attacks with another library's, on a matrix of their own.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { forgeCommand } from '../../node/cli/lab-forge.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { matrix, npyFile } from '../data/npy-file.ts'
import { command } from '../helpers/commands.ts'
import { temporaryFolder } from '../helpers/processes.ts'

interface Case {
  X: number[][]
  honest: number[]
  attacks: { rule: string; params: Record<string, number | string>; out: number[] }[]
}

const vectors = new URL('../protocol/aggregation-vectors.json', import.meta.url)
const { X, honest, attacks } = (JSON.parse(readFileSync(vectors, 'utf8')) as { cases: Case[] }).cases[0]!

const models = matrix(honest.map((i) => X[i]!))
const near = (a: number[], b: number[]) =>
  a.length === b.length && a.every((x, i) => Math.abs(x - b[i]!) <= 1e-9 * Math.max(1, Math.abs(b[i]!)))
const expected = (rule: string, params: Record<string, number | string>) =>
  attacks.find((attack) => attack.rule === rule && Object.entries(params).every(([key, value]) => attack.params[key] === value))!.out
const forge = (args: string[]) => command(['lab', 'forge', ...args])

t.test('prints a vector for each attacker, as one object', async (t) => {
  const file = join(temporaryFolder(t, { 'honest.npy': models }), 'honest.npy')
  const against = ['--attack', 'optimal-alie', '--rule', 'nnm | trimmed-mean', '--byzantine', '2', '--json', file]
  const [one, none] = await Promise.all([forge(against), forge(['--attack', 'alie', '--byzantine', '0', file])])
  t.equal(one.code, 0, one.err)
  t.equal(one.out.trim().split('\n').length, 1)
  const best = JSON.parse(one.out).vectors
  t.equal(best.length, 2)
  for (const vector of best) t.ok(near(vector, expected('Optimal_ALittleIsEnough', { agg: 'NNM>TrMean' })), vector.join(' '))
  t.same(JSON.parse(none.out), { vectors: [] })
})

t.test('starts from the model of the round, and takes what attackers trained', async (t) => {
  const dir = temporaryFolder(t, {
    'honest.npy': matrix([
      [2, 0],
      [4, 2],
    ]),
    'start.npy': matrix([[1, 1]]),
    'poisoned.npy': matrix([[2, 1]]),
  })
  const [honest, start, poisoned] = ['honest.npy', 'start.npy', 'poisoned.npy'].map((name) => join(dir, name)) as [string, string, string]
  const { out, err } = await forge(['--attack', 'backdoor', '--byzantine', '1', '--start', start, '--trained', poisoned, honest])
  t.same(JSON.parse(out || err), { vectors: [[4, 1]] }, 'three times the step, as there are three peers')
})

t.test('refuses bad input in one sentence that names the value and what is allowed', async (t) => {
  const dir = temporaryFolder(t, {
    'honest.npy': models,
    'nan.npy': matrix([[1, Number.NaN]]),
    'line.npy': npyFile('<f8', [3], Float64Array.of(1, 2, 3)),
    'two.npy': matrix([X[0]!, X[1]!]),
    'short.npy': matrix([[1, 2]]),
  })
  const refused: [Partial<Parameters<typeof forgeCommand>[1]> & { file?: string }, RegExp][] = [
    [{ attack: 'alei' }, /"alei" is not a known attack; known are: label-flip, .*, free-rider\./],
    [{ attack: 'ipm(tau=much)' }, /"tau" of "ipm" is much; it must be a number\./],
    [{ attack: 'ipm(x=1)' }, /"ipm" has no parameter "x"; it takes tau\./],
    [{ byzantine: 6 }, /cannot be 6 attackers beside 5 honest vectors; give a whole number from 0 to 5\./],
    [{ own: 5 }, /index 5 of 5; give one of 0 to 4\./],
    [{ rule: 'crum' }, /"crum" is not a known aggregation rule; known are: mean/],
    [{ attack: 'optimal-ipm' }, /works against a rule; name the rule with --rule\./],
    [{ attack: 'label-flip' }, /is one on data: give .* with --trained/],
    [{ attack: 'label-flip', trained: join(dir, 'two.npy'), byzantine: 1 }, /2 trained vectors for 1 attackers/],
    [{ attack: 'free-rider' }, /give it with --start/],
    [{ start: join(dir, 'two.npy') }, /two\.npy has 2 rows; the model from which a round starts is one row\./],
    [{ start: join(dir, 'short.npy') }, /of 5 and of 2 coordinates/],
    [{ file: 'nan.npy' }, /Vector 0 holds NaN at coordinate 1; values must be finite/],
    [{ file: 'line.npy' }, /shape \(3\); give a matrix/],
    [{ file: 'none.npy' }, /none\.npy does not exist; give an \.npy file\./],
  ]
  for (const [{ file = 'honest.npy', ...given }, message] of refused) {
    const settings = { attack: 'sign-flip', byzantine: 1, own: 0, seed: '0', ...given }
    const error = await forgeCommand(join(dir, file), settings).catch((error: unknown) => error)
    t.ok(isMurmurError(error), message.source)
    t.match((error as Error).message, message, message.source)
    t.notMatch((error as Error).message, '\n', 'one line')
  }
  const wrong = await forge(['--attack', 'alie', '--byzantine', '1.5', 'honest.npy'])
  t.match(wrong, { code: 1, out: '', err: /argument '1\.5' is invalid\. Give a whole number from 0\./ })
  const failed = await forge(['--attack', 'alie', '--byzantine', '9', join(dir, 'honest.npy')])
  t.match(failed, { code: 1, out: '', err: /^murmur: There cannot be 9 attackers .*\n$/ })
})
