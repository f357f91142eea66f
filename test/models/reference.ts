// A slow, plain interpreter of ONNX in float64, written from the operators' specifications alone: what onnxruntime's forward and
// the compiled gradients are checked against. In float64 a finite difference is exact to six digits and crosses no kink.
import { floatsOf, type Graph, intsOf, type Node, TYPE } from '../../models/graph.ts'

interface Value {
  dims: readonly number[]
  data: Float64Array
}

const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1)

/** Calls `visit` with each index of `dims`, in row-major order. */
function each(dims: readonly number[], visit: (index: number[], flat: number) => void): void {
  const index = dims.map(() => 0)
  for (let flat = 0; flat < sizeOf(dims); flat++) {
    visit(index, flat)
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      index[axis]!++
      if (index[axis]! < dims[axis]!) break
      index[axis] = 0
    }
  }
}

/** The element of `value` at an index of a shape that it broadcasts to. */
function at({ dims, data }: Value, index: readonly number[]): number {
  const lead = index.length - dims.length
  return data[dims.reduce((flat, dim, axis) => flat * dim + (dim === 1 ? 0 : index[axis + lead]!), 0)]!
}

function make(dims: readonly number[], value: (index: readonly number[]) => number): Value {
  const data = new Float64Array(sizeOf(dims))
  each(dims, (index, flat) => {
    data[flat] = value(index)
  })
  return { dims, data }
}

const map = ({ dims, data }: Value, f: (value: number) => number): Value => ({ dims, data: data.map(f) })

const joined = (a: readonly number[], b: readonly number[]): number[] =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => {
    const [x, y] = [a.at(-1 - i) ?? 1, b.at(-1 - i) ?? 1]
    return x === 1 ? y : x
  }).reverse()

const binary =
  (f: (a: number, b: number) => number) =>
  ([a, b]: Value[]) =>
    make(joined(a!.dims, b!.dims), (index) => f(at(a!, index), at(b!, index)))

const ints = (node: Node, name: string, fallback: number[]): readonly number[] => {
  const attribute = node.attributes[name]
  return attribute !== undefined && 'ints' in attribute ? attribute.ints : fallback
}
const int = (node: Node, name: string, fallback: number): number => {
  const attribute = node.attributes[name]
  return attribute !== undefined && 'int' in attribute ? attribute.int : fallback
}
const float = (node: Node, name: string): number => {
  const attribute = node.attributes[name]
  return attribute !== undefined && 'float' in attribute ? attribute.float : 1
}

/** For each output position, the in-range inputs of its window as [tap row, tap column, row, column]. */
function windows(node: Node, [, , height, width]: readonly number[], kernel: readonly number[]) {
  const [strides, dilations] = [ints(node, 'strides', [1, 1]), ints(node, 'dilations', [1, 1])]
  const pads = node.attributes.auto_pad === undefined ? ints(node, 'pads', [0, 0, 0, 0]) : sameUpper([height!, width!], kernel, strides)
  const round = int(node, 'ceil_mode', 0) ? Math.ceil : Math.floor
  const out = [height!, width!].map((size, axis) => {
    const room = size + pads[axis]! + pads[axis + 2]! - dilations[axis]! * (kernel[axis]! - 1) - 1
    const positions = round(room / strides[axis]!) + 1
    return int(node, 'ceil_mode', 0) && (positions - 1) * strides[axis]! >= size + pads[axis]! ? positions - 1 : positions
  })
  const visit = (row: number, column: number, f: (i: number, j: number, r: number, c: number, padded: boolean) => void) => {
    for (let i = 0; i < kernel[0]!; i++) {
      for (let j = 0; j < kernel[1]!; j++) {
        const r = row * strides[0]! - pads[0]! + i * dilations[0]!
        const c = column * strides[1]! - pads[1]! + j * dilations[1]!
        const inside = r >= 0 && c >= 0 && r < height! && c < width!
        if (inside || (r < height! + pads[2]! && c < width! + pads[3]!)) f(i, j, r, c, !inside)
      }
    }
  }
  return { out, visit }
}

/** The pads of auto_pad SAME_UPPER, undilated: ceil(size / stride) positions, the odd row of padding at the end. */
function sameUpper(sizes: readonly number[], kernel: readonly number[], strides: readonly number[]): number[] {
  const total = sizes.map((size, axis) => Math.max(0, (Math.ceil(size / strides[axis]!) - 1) * strides[axis]! + kernel[axis]! - size))
  return [...total.map((pad) => Math.floor(pad / 2)), ...total.map((pad) => Math.ceil(pad / 2))]
}

function pool(node: Node, [x]: Value[], combine: (values: number[], padded: number) => number): Value {
  const { out, visit } = windows(node, x!.dims, ints(node, 'kernel_shape', []))
  return make([...x!.dims.slice(0, 2), ...out], ([n, channel, row, column]) => {
    const values: number[] = []
    let padded = 0
    visit(row!, column!, (_i, _j, r, c, pad) => (pad ? padded++ : values.push(at(x!, [n!, channel!, r, c]))))
    return combine(values, padded)
  })
}

function conv(node: Node, [x, w, bias]: Value[]): Value {
  const { out, visit } = windows(node, x!.dims, w!.dims.slice(2))
  const [, channels, height, width] = x!.dims as [number, number, number, number]
  const [, , kh, kw] = w!.dims as [number, number, number, number]
  return make([x!.dims[0]!, w!.dims[0]!, ...out], ([n, m, row, column]) => {
    let sum = bias === undefined ? 0 : bias.data[m!]!
    visit(row!, column!, (i, j, r, c, padded) => {
      if (padded) return
      for (let channel = 0; channel < channels; channel++) {
        sum += x!.data[((n! * channels + channel) * height + r) * width + c]! * w!.data[((m! * channels + channel) * kh + i) * kw + j]!
      }
    })
    return sum
  })
}

function matmul(a: Value, b: Value): Value {
  if (a.dims.length === 2 && b.dims.length === 2) {
    const [inner, columns] = b.dims as [number, number]
    return make([a.dims[0]!, columns], ([row, column]) => {
      let sum = 0
      for (let k = 0; k < inner; k++) sum += a.data[row! * inner + k]! * b.data[k * columns + column!]!
      return sum
    })
  }
  const lead = joined(a.dims.slice(0, -2), b.dims.slice(0, -2))
  return make([...lead, a.dims.at(-2)!, b.dims.at(-1)!], (index) => {
    const [row, column] = index.slice(-2)
    let sum = 0
    for (let k = 0; k < a.dims.at(-1)!; k++) {
      sum += at(a, [...index.slice(0, -2), row!, k]) * at(b, [...index.slice(0, -2), k, column!])
    }
    return sum
  })
}

const transpose = (x: Value, perm: readonly number[]): Value =>
  make(
    perm.map((axis) => x.dims[axis]!),
    (index) =>
      at(
        x,
        x.dims.map((_, axis) => index[perm.indexOf(axis)]!),
      ),
  )

function reduce(x: Value, axes: readonly number[], keep: boolean): Value {
  const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
  const sums = new Float64Array(sizeOf(kept))
  each(x.dims, (index, flat) => {
    const to = kept.reduce((sum, dim, axis) => sum * dim + (dim === 1 ? 0 : index[axis]!), 0)
    sums[to] = sums[to]! + x.data[flat]!
  })
  return { dims: keep ? kept : x.dims.filter((_, axis) => !axes.includes(axis)), data: sums }
}

function logSoftmax(x: Value, axis: number): Value {
  const shifted = map(x, (value) => value - Math.max(...x.data))
  const sums = reduce(map(shifted, Math.exp), [axis < 0 ? axis + x.dims.length : axis], true)
  return make(x.dims, (index) => at(shifted, index) - Math.log(at(sums, index)))
}

function evaluateNode(node: Node, inputs: Value[]): Value {
  const [x, y] = inputs as [Value, Value]
  const all = [...x.dims.keys()]
  const axes = y === undefined || y.data.length === 0 ? all : Array.from(y.data, (axis) => (axis < 0 ? axis + all.length : axis))
  switch (node.op) {
    case 'Add':
      return binary((a, b) => a + b)(inputs)
    case 'Sub':
      return binary((a, b) => a - b)(inputs)
    case 'Mul':
      return binary((a, b) => a * b)(inputs)
    case 'Div':
      return binary((a, b) => a / b)(inputs)
    case 'Relu':
      return map(x, (value) => Math.max(0, value))
    case 'Sigmoid':
      return map(x, (value) => 1 / (1 + Math.exp(-value)))
    case 'Tanh':
      return map(x, Math.tanh)
    case 'Identity':
      return x
    case 'MatMul':
      return matmul(x, y)
    case 'Gemm': {
      const a = int(node, 'transA', 0) ? transpose(x, [1, 0]) : x
      const b = int(node, 'transB', 0) ? transpose(y, [1, 0]) : y
      const product = map(matmul(a, b), (value) => value * float(node, 'alpha'))
      return inputs[2] === undefined ? product : binary((p, c) => p + float(node, 'beta') * c)([product, inputs[2]])
    }
    case 'Conv':
      return conv(node, inputs)
    case 'MaxPool':
      return pool(node, inputs, (values) => Math.max(...values))
    case 'AveragePool':
      return pool(node, inputs, (values, padded) => {
        const count = values.length + (int(node, 'count_include_pad', 0) ? padded : 0)
        return values.reduce((sum, value) => sum + value, 0) / count
      })
    case 'GlobalAveragePool':
      return map(reduce(x, [2, 3], true), (sum) => sum / sizeOf(x.dims.slice(2)))
    case 'GlobalMaxPool':
      return make([...x.dims.slice(0, 2), 1, 1], ([n, c]) => {
        const plane = sizeOf(x.dims.slice(2))
        const start = (n! * x.dims[1]! + c!) * plane
        return Math.max(...x.data.subarray(start, start + plane))
      })
    case 'ReduceSum':
      return reduce(x, axes, int(node, 'keepdims', 1) === 1)
    case 'ReduceMean': {
      const count = axes.reduce((product, axis) => product * x.dims[axis]!, 1)
      return map(reduce(x, axes, int(node, 'keepdims', 1) === 1), (sum) => sum / count)
    }
    case 'Flatten': {
      const front = sizeOf(x.dims.slice(0, int(node, 'axis', 1)))
      return { dims: [front, x.data.length / front], data: x.data }
    }
    case 'Reshape': {
      const asked = Array.from(y.data, (dim, i) => (dim === 0 ? x.dims[i]! : dim))
      const known = sizeOf(asked.filter((dim) => dim !== -1))
      return { dims: asked.map((dim) => (dim === -1 ? x.data.length / known : dim)), data: x.data }
    }
    case 'Squeeze':
      return { dims: x.dims.filter((_, axis) => !axes.includes(axis)), data: x.data }
    case 'Unsqueeze': {
      const dims = [...x.dims]
      for (const axis of y.data) dims.splice(axis, 0, 1)
      return { dims, data: x.data }
    }
    case 'Transpose':
      return transpose(x, ints(node, 'perm', all.reverse()))
    case 'Softmax':
      return map(logSoftmax(x, int(node, 'axis', -1)), Math.exp)
    case 'LogSoftmax':
      return logSoftmax(x, int(node, 'axis', -1))
  }
  throw new Error(`the reference has no ${node.op}`)
}

/** The output of a whole graph for `x`, with some of its constants replaced. */
export function runReference(graph: Graph, x: ArrayLike<number>, replaced: ReadonlyMap<string, Float64Array> = new Map()): Value {
  const values = new Map<string, Value>()
  const [input] = graph.inputs
  const sample = input!.dims.slice(1).map(Number)
  values.set(input!.name, { dims: [x.length / sizeOf(sample), ...sample], data: Float64Array.from(x) })
  for (const [name, tensor] of graph.constants) {
    const data = tensor.type === TYPE.float32 ? floatsOf(tensor) : intsOf(tensor)
    values.set(name, { dims: tensor.dims, data: replaced.get(name) ?? Float64Array.from(data) })
  }
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => values.get(name)!)
    values.set(node.outputs[0]!, evaluateNode(node, inputs))
  }
  return values.get(graph.outputs[0]!.name)!
}

/** Mean cross-entropy of the softmax of the graph's output, labels smoothed. `isFinal`: the output is log-probabilities already. */
export function referenceLoss(
  graph: Graph,
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  replaced?: ReadonlyMap<string, Float64Array>,
  smoothing = 0,
): number {
  const scores = runReference(graph, x, replaced)
  const [batch, classes] = scores.dims as [number, number]
  const last = graph.nodes.find(({ outputs }) => outputs[0] === graph.outputs[0]!.name)!.op
  const logs = last === 'Softmax' ? map(scores, Math.log) : last === 'LogSoftmax' ? scores : logSoftmax(scores, 1)
  let sum = 0
  for (let i = 0; i < batch; i++) {
    for (let c = 0; c < classes; c++) {
      const target = (c === y[i] ? 1 - smoothing : 0) + smoothing / classes
      sum -= target * logs.data[i * classes + c]!
    }
  }
  return sum / batch
}
