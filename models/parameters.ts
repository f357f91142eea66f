// Which of a model's initializers are its parameters. ONNX does not tell weights from other constants; these rules do, as far as a
// graph shows it, and `trainable` overrides them.
import { MurmurError } from '../protocol/errors.ts'
import { type Segment, sizeOf } from '../protocol/layout.ts'
import { DECOMPOSITIONS } from './decompositions/index.ts'
import { floatsOf, type Graph, intAttribute, type Node, type Tensor, TYPE } from './graph.ts'
import { OPERATORS } from './operators/index.ts'

export interface SplitOptions {
  /**
   * Names of the initializers to train, `*` standing for any text. Default: all float32 ones that the output depends on smoothly, are
   * finite, and do not play the part of a setting. Names that begin with `!` are taken out again, of the default where there are no
   * others. What is not named stays fixed.
   */
  trainable?: readonly string[]
  /** Names of trainable initializers that never leave their peer; default none. */
  personal?: readonly string[]
}

export interface Parameter {
  name: string
  tensor: Tensor
  segment: Segment
}

/** Inputs that are float32 but settings, not weights. */
const SETTINGS: Readonly<Record<string, readonly number[]>> = {
  BatchNormalization: [3, 4],
  Clip: [1, 2],
  Dropout: [1],
  OneHot: [2],
  Pad: [2],
  Resize: [1, 2],
}
/** Inputs of BatchNormalization that are running statistics. */
const STATISTICS: readonly number[] = [3, 4]

/**
 * @param scalars whether a float32 initializer of rank 0 may be a weight: PyTorch writes literals as nodes, other exporters do not
 * @param marked names that an earlier export of ours marked as running statistics
 * @throws bad-argument if a pattern matches no initializer
 */
export function chooseParameters(
  graph: Graph,
  { trainable, personal = [] }: SplitOptions,
  { scalars, marked }: { scalars: boolean; marked: ReadonlySet<string> },
): Parameter[] {
  const floats = [...graph.constants].filter(([, { type, dims }]) => type === TYPE.float32 && sizeOf(dims) > 0)
  const names = floats.map(([name]) => name)
  const statistics = runningStatistics(graph, marked)
  const smooth = smoothInputs(graph)
  const isWeight = (name: string, tensor: Tensor) =>
    smooth.has(name) && (tensor.dims.length > 0 || scalars) && floatsOf(tensor).every(Number.isFinite)
  const settings = new Set(graph.nodes.flatMap(({ op, inputs }) => SETTINGS[op]?.map((i) => inputs[i] ?? '') ?? []))
  const takesOut = trainable?.every((pattern) => pattern.startsWith('!')) ?? true
  const isNamed = matcher('trainable', takesOut ? ['*', ...(trainable ?? [])] : trainable!, names)
  const isTrainable = (name: string, tensor: Tensor) => isNamed(name) && !settings.has(name) && (!takesOut || isWeight(name, tensor))
  const isPersonal = matcher('personal', personal, names)
  return floats
    .filter(([name, tensor]) => statistics.has(name) || isTrainable(name, tensor))
    .map(([name, tensor]) => ({ name, tensor, segment: isPersonal(name) ? 'personal' : statistics.has(name) ? 'stats' : 'shared' }))
}

/** The running mean and variance of each BatchNormalization that follows its batches. */
function runningStatistics({ nodes }: Graph, marked: ReadonlySet<string>): Set<string> {
  const follows = (node: Node) =>
    node.op === 'BatchNormalization' &&
    (node.outputs.length > 1 || intAttribute(node, 'training_mode', 0) === 1 || marked.has(node.inputs[3] ?? ''))
  return new Set(nodes.filter(follows).flatMap((node) => STATISTICS.map((i) => node.inputs[i] ?? '')))
}

/** All values that the output depends on through operators that have a gradient. */
function smoothInputs({ nodes, outputs }: Graph): Set<string> {
  const reached = new Set([outputs[0]!.name])
  for (const node of nodes.toReversed()) {
    if (!isSmooth(node) || !node.outputs.some((name) => reached.has(name))) continue
    for (const [i, name] of node.inputs.entries()) if (!SETTINGS[node.op]?.includes(i)) reached.add(name)
    // What the branches of an If read of the graph around them.
    for (const attribute of Object.values(node.attributes)) {
      if ('graph' in attribute) for (const name of attribute.graph.nodes.flatMap(({ inputs }) => inputs)) reached.add(name)
    }
  }
  return reached
}

function isSmooth(node: Node): boolean {
  if (node.op === 'Cast') return intAttribute(node, 'to', TYPE.float32) === TYPE.float32
  return node.op === 'If' || Object.hasOwn(DECOMPOSITIONS, node.op) || OPERATORS[node.op]?.gradient !== undefined
}

/** Whether a name matches one of the patterns and none of those with `!`; every pattern must match something. */
function matcher(option: string, patterns: readonly string[], names: readonly string[]): (name: string) => boolean {
  const [wanted, unwanted] = [false, true].map((negative) =>
    patterns
      .filter((pattern) => pattern.startsWith('!') === negative)
      .map((pattern) => {
        const parts = pattern.slice(Number(negative)).split('*')
        const test = new RegExp(`^${parts.map((part) => part.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('.*')}$`, 's')
        if (!names.some((name) => test.test(name)) && pattern !== '*') {
          throw new MurmurError(
            'bad-argument',
            `${option} "${pattern}" matches no float32 tensor of the model; it has ${names.join(', ')}.`,
          )
        }
        return test
      }),
  ) as [RegExp[], RegExp[]]
  return (name) => wanted.some((test) => test.test(name)) && !unwanted.some((test) => test.test(name))
}
