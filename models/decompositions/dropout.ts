// Dropout (Srivastava et al. 2014): nothing at evaluation; in training a private operator (../operators/dropout.ts) that the step seeds.
import { describeNode, floatAttribute, floatsOf, invalid, TYPE } from '../graph.ts'
import type { Decompositions } from './types.ts'

export const dropout: Decompositions = {
  /** PyTorch names the mask, the second output, though nobody reads it; there is none here. Every Dropout node that a model still has drops in training, whatever its training_mode: exporters drop the node itself where it should not. */
  Dropout(node, { training, constant, emit, alias, seed, salt }) {
    const given = node.inputs[1] ? constant(1) : undefined
    if (node.inputs[1] && given?.type !== TYPE.float32)
      throw invalid(`${describeNode(node)} takes a ratio that is only known when the model runs.`)
    const ratio = given === undefined ? floatAttribute(node, 'ratio', 0.5) : floatsOf(given)[0]!
    if (!(ratio >= 0 && ratio < 1)) throw invalid(`${describeNode(node)} drops a share of ${ratio}; it must be at least 0 and below 1.`)
    if (!training || ratio === 0) alias(node.outputs[0]!, node.inputs[0]!)
    else emit('own.Dropout', [node.inputs[0]!, seed], { ratio: { float: ratio }, salt: { int: salt() } }, [node.outputs[0]!])
  },
}
