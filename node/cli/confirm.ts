// Asks a person, where one is there to answer.
import { createInterface } from 'node:readline/promises'

/** Whether a person reads what is written and can answer. */
export const isTerminal = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true

/** `otherwise` is what an empty answer means. Ctrl-C and Ctrl-D mean no. */
export async function confirmed(question: string, otherwise: boolean): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const left = new Promise<undefined>((done) => terminal.once('close', () => done(undefined)))
  try {
    const answer = await Promise.race([terminal.question(question), left])
    if (answer === undefined) return false
    return otherwise ? !/^\s*n/i.test(answer) : /^\s*y/i.test(answer)
  } finally {
    terminal.close()
  }
}
