// Runs of the lab on data that is learned at once.
import { parseLabOptions, runLab } from '../../node/lab/run/index.ts'
import type { LabResult } from '../../node/lab/run/types.ts'

/** What is learned from images of ten classes by softmax regression. */
export const quickLab = (data: string) => ({ data, model: 'softmax', steps: 10, batchSize: 16, partition: 'iid', rounds: 2 })

/** With one thread for each kind of work, as tests share the machine. */
export const runQuickly =
  (data: string) =>
  (options: Record<string, unknown>, workers = 1): Promise<LabResult> =>
    runLab(parseLabOptions({ ...quickLab(data), ...options }), { workers })
