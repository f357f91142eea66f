// The command `murmur` run to its end, and what it says to mistakes: many of them in one process.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'

const entry = fileURLToPath(new URL('../../node/murmur.mjs', import.meta.url))
const script = fileURLToPath(new URL('../cli/fixtures/commands.ts', import.meta.url))
/** Milliseconds for all command lines of one process. */
const DEADLINE = 120_000

/** The test runner's own loader options are not for the process under test. */
const ownEnv = () => ({ ...process.env, NODE_OPTIONS: '' })

/** Not by the helper for peers, which takes each line that begins with { for an event. */
export function run(args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [entry, ...args], { env: ownEnv() }, (error, out, err) => done({ code: Number(error?.code ?? 0), out, err }))
  })
}

/** Each command line ends with exit code 1 and one sentence that fits, and nothing that reads like a stack. */
export async function mistakes(t: Test, lines: readonly [args: string[], sentence: RegExp | string][], env: Record<string, string> = {}) {
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(lines.map(([args]) => args))], {
    env: { ...ownEnv(), ...env },
    timeout: DEADLINE,
    killSignal: 'SIGKILL',
  })
  const said = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { code: number; text: string })
  t.equal(said.length, lines.length, 'each was run to its end')
  for (const [i, { code, text }] of said.entries()) {
    const [args, sentence] = lines[i]!
    const name = args.join(' ')
    t.equal(code, 1, name)
    const complaints = text.split('\n').filter((line) => line.startsWith('murmur: '))
    t.match(complaints, [sentence], name)
    t.equal(complaints.length, 1, name)
    t.notMatch(text, /\n\s+at |node:internal|Error:|unexpected failure/, 'no stack trace')
  }
}
