// The process that pool.ts starts: runs the cells that it is sent, one after the other, and tells what came of each.
import { describeError, type Failure } from '../../worker-rpc.ts'
import type { LabOptions, LabResult, RoundRecord } from '../run/types.ts'
import type { RunCell } from './types.ts'

export type Told = { round: RoundRecord } | { result: LabResult } | { error: Failure }

/** What the module named on the command line offers: the lab, or a test's stand-in for it. */
export interface Engine {
  runLab: RunCell
}

// Whoever asked is gone, and nobody is left to tell. At once: a worker thread may be in a native run, which an orderly exit would wait for.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
const [module, workers] = process.argv.slice(2) as [string, string]
const { runLab } = (await import(module)) as Engine
process.on('message', async (options: LabOptions) => {
  const tell = (told: Told) => void process.send!(told)
  try {
    tell({ result: await runLab(options, { onRound: (round) => tell({ round }), workers: Number(workers) }) })
  } catch (error) {
    tell({ error: describeError(error) })
  }
})
