// A small valid manifest, to be changed field by field in tests.
import { type Manifest, manifestSchema } from '../../protocol/manifest.ts'
import { openTask, sealTask, type Task } from '../../protocol/task.ts'
import { sha256, signerOf, verifier } from './keys.ts'

const zeros = '00'.repeat(32)

export function manifestOf(change: Partial<Manifest> = {}): Manifest {
  return manifestSchema.parse({
    version: 1,
    name: 'test',
    nonce: zeros,
    model: { hash: zeros, length: 10, codec: 'onnx', name: 'tiny' },
    weights: { hash: zeros, length: 16, codec: 'float32' },
    layout: [{ name: 'w', shape: [2, 2], segment: 'shared' }],
    loss: { kind: 'cross-entropy' },
    optimizer: { kind: 'sgd', learningRate: 0.1 },
    work: { batchSize: 4, steps: 2 },
    rule: 'trimmed-mean',
    byzantineShare: 2000,
    codec: 'float32',
    pace: { minPeers: 3, staleness: 2, gatherMinSeconds: 1, gatherMaxSeconds: 10, absentAfterSeconds: 3600 },
    stop: { rounds: 5 },
    admission: { mode: 'open' },
    limits: { maxAbs: 1e6 },
    weighting: 'none',
    privacy: { mode: 'none' },
    data: { input: { dtype: 'float32', shape: [2] }, target: { kind: 'class', size: 2 } },
    testTask: true,
    ...change,
  })
}

export function taskOf(change: Partial<Manifest> = {}, founder = 'founder'): Task {
  return openTask(sealTask(manifestOf(change), signerOf(founder)), { verify: verifier, hash: sha256 })
}
