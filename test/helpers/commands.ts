// The command `murmur` run to its end: in a process of its own, or, as most of a test's time would go into starting those, in one for all command
// lines of a test file.
import { type ChildProcess, execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import tap, { type Test } from 'tap'
import type { Asked, Said } from '../cli/fixtures/commands.ts'

const entry = fileURLToPath(new URL('../../node/murmur.mjs', import.meta.url))
const script = fileURLToPath(new URL('../cli/fixtures/commands.ts', import.meta.url))
/** Milliseconds for one command line, and those that wait before it. */
const DEADLINE = 120_000

/** The test runner's own loader options are not for the process under test. */
const ownEnv = () => ({ ...process.env, NODE_OPTIONS: '' })

/** In a process of its own. Not by the helper for peers, which takes each line that begins with { for an event. */
export function run(args: string[]): Promise<Said> {
  return new Promise((done) => {
    execFile(process.execPath, [entry, ...args], { env: ownEnv() }, (error, out, err) => done({ code: Number(error?.code ?? 0), out, err }))
  })
}

let shared: ChildProcess | undefined
let asked = 0

/** In the process that all command lines of this test file share, one after the other. */
export function command(args: string[], env: Record<string, string> = {}): Promise<Said> {
  if (shared === undefined) {
    const child = fork(script, [], { env: ownEnv(), execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    // The deadline of a command keeps this process alive as long as it must be.
    child.unref()
    child.channel!.unref()
    child.setMaxListeners(0)
    tap.teardown(async () => {
      child.ref()
      if (child.kill('SIGKILL')) await once(child, 'exit')
    })
    shared = child
  }
  const [child, i] = [shared, asked++]
  return new Promise((done, failed) => {
    const end = (settle: () => void) => {
      clearTimeout(timer)
      child.off('message', onMessage).off('exit', onExit)
      settle()
    }
    const onMessage = ([of, said]: [number, Said]) => of === i && end(() => done(said))
    const onExit = (code: number | null, signal: string | null) =>
      end(() => failed(new Error(`The process of murmur ${args.join(' ')} ended with ${code ?? signal}`)))
    const timer = setTimeout(() => end(() => failed(new Error(`murmur ${args.join(' ')} has not ended within ${DEADLINE} ms`))), DEADLINE)
    child.on('message', onMessage).on('exit', onExit)
    child.send({ args, env } satisfies Asked)
  })
}

/** What a sentence of ours never holds. */
export const STACK = /\n\s+at |node:internal|Error:|unexpected failure/

/** Each command line ends with exit code 1 and one sentence that fits, and nothing that reads like a stack. */
export async function mistakes(t: Test, lines: readonly [args: string[], sentence: RegExp | string][], env: Record<string, string> = {}) {
  for (const [args, sentence] of lines) {
    const name = args.join(' ')
    const { code, out, err } = await command(args, env)
    t.equal(code, 1, name)
    const complaints = `${out}${err}`.split('\n').filter((line) => line.startsWith('murmur: '))
    t.match(complaints, [sentence], name)
    t.equal(complaints.length, 1, name)
    t.notMatch(out + err, STACK, 'no stack trace')
  }
}

/** What commander refuses: usage that cannot be, in a sentence and with what to read. */
export async function misused(t: Test, args: string[], sentence: RegExp): Promise<void> {
  const { code, out, err } = await command(args)
  const name = args.join(' ')
  t.match({ code, out }, { code: 1, out: '' }, name)
  t.match(err, sentence, name)
  t.notMatch(err, STACK, 'no stack trace')
}
