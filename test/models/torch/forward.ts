// A zoo model's outputs for the first batch of its PyTorch task, in onnxruntime.
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { ZOO_TASKS, type ZooName, zooModel } from '../../../models/zoo/index.ts'
import { sizeOf } from '../../../protocol/layout.ts'
import { SEED, torchSamples, torchTask } from './tasks.ts'

export async function torchForward(name: ZooName): Promise<Float32Array> {
  const { dtype, shape } = ZOO_TASKS[name].input
  const { batchSize } = torchTask(name)
  const x = torchSamples(name).x.subarray(0, batchSize * sizeOf(shape))
  const data = dtype === 'int64' ? BigInt64Array.from(x, BigInt) : x
  const session = await InferenceSession.create(zooModel(name, SEED), { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const result = await session.run({ [session.inputNames[0]!]: new Tensor(dtype, data, [batchSize, ...shape]) })
  return result[session.outputNames[0]!]!.data as Float32Array
}
