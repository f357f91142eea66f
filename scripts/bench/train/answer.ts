// The other end of contestant.ts: answers requests on stdin, one JSON line each.
import { createInterface } from 'node:readline'
import type { ModelName } from './cases.ts'

export interface Participant {
  /** Builds a model and its data; says what it is, for the report. */
  open(model: ModelName, batch: number): Promise<string> | string
  /** Trains. */
  run(steps: number): Promise<void> | void
}

export async function answer({ open, run }: Participant): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line)
    if (request.open !== undefined) {
      console.log(JSON.stringify({ is: await open(request.open, request.batch) }))
      continue
    }
    const before = process.cpuUsage()
    await run(request.steps)
    const { user, system } = process.cpuUsage(before)
    console.log(JSON.stringify({ seconds: (user + system) / 1e6, megabytes: process.memoryUsage.rss() / 2 ** 20 }))
  }
}
