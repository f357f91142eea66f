// Trying a stranger's model in a process of its own: what goes wrong there ends there, and nothing is left behind.
import { readdirSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { splitWeights } from '../../models/index.ts'
import { zooModel } from '../../models/zoo/index.ts'
import { runLimited, type TrialOptions } from '../../node/train/limited.ts'
import type { Job } from '../../node/train/trial.ts'
import { buildModel, LOSS, rawInput, sgd } from '../models/helpers.ts'

function jobFor(model: Uint8Array, shape: number[], classes: number): Job & { kind: 'step' } {
  const { graph, params } = splitWeights(model)
  return {
    ...{
      graph,
      parameters: params.length,
      loss: LOSS,
      optimizer: sgd(),
      input: rawInput(shape),
      batchSize: 4,
      threads: 1,
      provider: 'cpu',
    },
    target: { kind: 'class', size: classes, shape: [] },
    kind: 'step',
    evaluationBatches: [],
  }
}

const softmax = () => jobFor(zooModel('softmax', 1), [1, 28, 28], 10)

/** Processes of ours that try a model; only Linux tells. */
function children(): string[] {
  if (process.platform !== 'linux') return []
  const lines = readdirSync('/proc').flatMap((id) => {
    try {
      const parent = /^\d+ \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${id}/stat`, 'utf8'))?.[1]
      return parent === String(process.pid) ? [readFileSync(`/proc/${id}/cmdline`, 'utf8')] : []
    } catch {
      // No process, or one that has ended meanwhile.
      return []
    }
  })
  return lines.filter((line) => line.includes('trial'))
}

async function refused(t: Test, job: Job, options: TrialOptions, error: { code: string; message: RegExp }): Promise<void> {
  await t.rejects(runLimited(job, options), error)
  t.same(children(), [], 'no process is left')
}

t.test('a model that can be trained is tried, and its process is gone', async (t) => {
  const trying = runLimited(softmax())
  t.equal(children().length, process.platform === 'linux' ? 1 : 0)
  const { compileMillis, stepMillis } = await trying
  t.ok(compileMillis > 0 && stepMillis > 0)
  t.same(children(), [])
})

t.test('time is limited', (t) => refused(t, softmax(), { millis: 1 }, { code: 'limit-exceeded', message: /not done within 0.001 s/ }))

t.test('an abort ends it, before and after it began', async (t) => {
  const abort = new AbortController()
  const stopped = refused(t, softmax(), { signal: abort.signal }, { code: 'cancelled', message: /stopped on request/ })
  abort.abort()
  await stopped
  await refused(t, softmax(), { signal: abort.signal }, { code: 'cancelled', message: /stopped on request/ })
})

t.test('memory is limited: a step that needs more ends that process alone', { skip: process.platform !== 'linux' }, async (t) => {
  // A batch becomes 270 MB on its way, several times; the model itself is small.
  const model = buildModel([4], ({ b, weight }, x) => {
    const wide = b.op('Expand', [b.op('Unsqueeze', [x, b.ints([1])]), b.ints([1, 1 << 22, 1])])
    const mean = b.op('ReduceMean', [b.op('Exp', [wide]), b.ints([1])], { keepdims: { int: 0 } })
    return b.op('MatMul', [mean, weight('w', [4, 2])])
  })
  const job = jobFor(model, [4], 2)
  await refused(t, job, { bytes: 7e8 }, { code: 'limit-exceeded', message: /memory|alloc/i })
})

t.test('a process that cannot even begin within its memory is told of in one sentence', { skip: process.platform !== 'linux' }, (t) =>
  refused(t, softmax(), { bytes: 1e6 }, { code: 'limit-exceeded', message: /^The model ended the process that tried it \(.*\)[^\n]*$/ }),
)

t.test('a step that onnxruntime refuses to make is the model’s fault', async (t) => {
  // Row 7 of a table of 3: no shape tells.
  const model = buildModel([4], ({ b, weight }, x) => {
    const at = b.op('Add', [b.op('Cast', [b.op('Mul', [x, b.scalar(0)])], { to: { int: 7 } }), b.ints([7])])
    const table = b.op('Gather', [weight('table', [3]), at], { axis: { int: 0 } })
    return b.op('MatMul', [table, weight('w', [4, 2])])
  })
  await refused(t, jobFor(model, [4], 2), {}, { code: 'model-invalid', message: /first step failed: .*(index|bounds)/is })
})

t.test('what cannot be trained keeps its own code', async (t) => {
  const job = softmax()
  await refused(t, { ...job, graph: job.graph.slice(0, 50) }, {}, { code: 'model-invalid', message: /ONNX/ })
  await refused(t, { ...job, loss: { kind: 'huber' } }, {}, { code: 'task-unsupported', message: /huber/ })
})

t.test('a check compares the gradients of every tensor', async (t) => {
  const { params } = splitWeights(zooModel('softmax', 1))
  const { tensors, loss } = await runLimited({ ...softmax(), optimizer: sgd({ learningRate: 1 }), kind: 'check', params })
  t.same(
    tensors.map(({ name }) => name),
    ['fc.weight', 'fc.bias'],
  )
  t.ok(tensors.every(({ error, norm }) => error < 0.05 && norm > 0))
  t.ok(Number.isFinite(loss))
})
