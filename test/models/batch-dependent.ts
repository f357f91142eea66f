// A model, four numbers to three classes, that can be trained with any batch but has a defect for batches of exactly 100.
import { floatTensor, intTensor, type Node, TYPE } from '../../models/graph.ts'
import { encodeModel } from '../../models/serialize.ts'

const node = (op: string, inputs: string[], outputs: string[], attributes: Node['attributes'] = {}): Node => ({
  ...{ op, name: '', inputs, outputs, attributes },
})

const branch = (op: string, inputs: string[], output: string) => ({
  graph: {
    ...{ name: output, inputs: [], constants: new Map(), nodes: [node(op, inputs, [output])] },
    outputs: [{ name: output, type: TYPE.float32, dims: [] }],
  },
})

export function batchDependentModel(): Uint8Array {
  const weights = floatTensor(
    Array.from({ length: 12 }, (_, i) => i / 12),
    [4, 3],
  )
  return encodeModel({
    name: 'batch-dependent',
    inputs: [{ name: 'input', type: TYPE.float32, dims: ['batch', 4] }],
    outputs: [{ name: 'scores', type: TYPE.float32, dims: ['batch', 3] }],
    nodes: [
      node('Shape', ['input'], ['shape'], { end: { int: 1 } }),
      node('Equal', ['shape', 'many'], ['isMany']),
      node('If', ['isMany'], ['a'], {
        then_branch: branch('Reshape', ['input', 'many'], 'b'),
        else_branch: branch('Relu', ['input'], 'c'),
      }),
      node('MatMul', ['a', 'weights'], ['scores']),
    ],
    constants: new Map([
      ['weights', weights],
      ['many', intTensor([100])],
    ]),
  })
}
