// Trains with the compiled graph alone. Usage: node steps.ts loop | single. `loop` gives a run many steps, as the product does;
// `single` takes the loop's body out and runs it step by step, as one would without a loop.
import { create } from '@bufbuild/protobuf'
import type { InferenceSession, Tensor } from 'onnxruntime-node'
import { compileTraining, loadModel, splitWeights } from '../../../models/index.ts'
import { TensorProtoSchema } from '../../../models/onnx_pb.ts'
import { parseModel, writeModel } from '../../../models/serialize.ts'
import { createSession, dataFeeds, floats, rows } from '../../../node/train/session.ts'
import { createPrng } from '../../../protocol/prng.ts'
import { answer } from './answer.ts'
import { taskOf } from './cases.ts'
import { LOSS, OPTIMIZER } from './trainer-of.ts'

/** Steps of a run: what the trainer's pace makes of a small model. */
const LOOP_STEPS = 64
const isLoop = process.argv[2] === 'loop'

/** ONNX's numbers for types. */
const INT64 = 7
const BOOL = 9

/** The loop's body as a graph: what it read from around it become inputs, and each run is its step 0. */
function bodyOf(bytes: Uint8Array): Uint8Array {
  const model = parseModel(bytes)
  const outer = model.graph!
  const body = outer.node.find(({ opType }) => opType === 'Loop')!.attribute.find(({ name }) => name === 'body')!.g!
  const [step, go, ...state] = body.input
  body.input = [...state, ...outer.input.filter(({ name }) => name !== 'params' && name !== 'optimizer')]
  body.initializer.push(
    create(TensorProtoSchema, { name: step!.name, dataType: INT64, rawData: new Uint8Array(8) }),
    create(TensorProtoSchema, { name: go!.name, dataType: BOOL, rawData: Uint8Array.of(1) }),
  )
  model.graph = body
  return writeModel(model)
}

let session: InferenceSession
let steps: (count: number) => Promise<void>

await answer({
  async open(name, batchSize) {
    const { bytes, input, target, data } = taskOf(name)
    const { graph, params } = splitWeights(bytes)
    const compiled = compileTraining(loadModel(graph), { loss: LOSS, optimizer: OPTIMIZER, input, target, batchSize })
    session = await createSession(isLoop ? compiled.bytes : bodyOf(compiled.bytes), { threads: 1, provider: 'cpu' })
    const names = isLoop
      ? ['params', 'optimizer', 'new_params', 'new_optimizer']
      : [...session.inputNames.slice(0, 2), ...session.outputNames.slice(1, 3)]
    const [w = '', state = '', nextW = '', nextState = ''] = names
    const constant = { ...dataFeeds(data, input.shape, target), halt: floats(new Float32Array(1)) }
    const prng = createPrng('steps')
    let carried: Record<string, Tensor> = {
      [w]: floats(params, params.length),
      [state]: floats(new Float32Array(params.length), params.length),
    }
    steps = async (count) => {
      const index = Int32Array.from({ length: count * batchSize }, () => prng.int(data.samples))
      const lr = floats(new Float32Array(count).fill(OPTIMIZER.learningRate), count)
      const feeds = { ...constant, ...carried, index: rows(index, count, batchSize), lr }
      const result = await session.run(feeds, [nextW, nextState])
      carried = { [w]: result[nextW]!, [state]: result[nextState]! }
    }
    return process.argv[2]!
  },
  async run(count) {
    const most = isLoop ? LOOP_STEPS : 1
    for (let left = count; left > 0; left -= most) await steps(Math.min(left, most))
  },
})
