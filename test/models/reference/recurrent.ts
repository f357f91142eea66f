// The reference's recurrent layers, one sample, direction and step at a time.
import type { Node } from '../../../models/graph.ts'
import { type Family, int, text, type Value } from './values.ts'

type Vector = readonly number[]
type Activation = (x: number) => number

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  Relu: (x) => Math.max(0, x),
  Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  Softsign: (x) => x / (1 + Math.abs(x)),
  Tanh: Math.tanh,
}

/** One sample's state, `c` for LSTM only. */
interface State {
  h: Vector
  c: Vector
}

/** What one direction knows: numbers of a gate's rows, by the gate's place in the stacked tensors. */
interface Gates {
  hidden: number
  activations: readonly Activation[]
  /** W of the gate times x, plus its input bias. */
  input(gate: number, x: Vector): Vector
  /** R of the gate times h, plus its recurrent bias. */
  recurrent(gate: number, h: Vector): Vector
  /** Peephole weights; zero where there are none. */
  peephole(gate: number): Vector
}

type Step = (gates: Gates, x: Vector, before: State) => State

const add = (a: Vector, b: Vector): Vector => a.map((value, i) => value + b[i]!)
const multiply = (a: Vector, b: Vector): Vector => a.map((value, i) => value * b[i]!)

const rnnStep: Step = ({ activations: [f], input, recurrent }, x, { h }) => ({ h: add(input(0, x), recurrent(0, h)).map(f!), c: [] })

/** Gates are stacked z, r, h. */
const gruStep =
  (linearBeforeReset: boolean): Step =>
  ({ hidden, activations: [f, g], input, recurrent }, x, { h }) => {
    const update = add(input(0, x), recurrent(0, h)).map(f!)
    const reset = add(input(1, x), recurrent(1, h)).map(f!)
    const remembered = linearBeforeReset ? multiply(reset, recurrent(2, h)) : recurrent(2, multiply(reset, h))
    const candidate = add(input(2, x), remembered).map(g!)
    return { h: Array.from({ length: hidden }, (_, i) => (1 - update[i]!) * candidate[i]! + update[i]! * h[i]!), c: [] }
  }

/** Gates are stacked i, o, f, c, peepholes i, o, f. */
const lstmStep: Step = ({ activations: [f, g, last], input, recurrent, peephole }, x, { h, c }) => {
  const gate = (at: number) => add(input(at, x), recurrent(at, h))
  const enter = add(gate(0), multiply(peephole(0), c)).map(f!)
  const forget = add(gate(2), multiply(peephole(2), c)).map(f!)
  const next = add(multiply(forget, c), multiply(enter, gate(3).map(g!)))
  const leave = add(gate(1), multiply(peephole(1), next)).map(f!)
  return { h: multiply(leave, next.map(last!)), c: next }
}

function activationsOf(node: Node, defaults: readonly string[], direction: number): Activation[] {
  const attribute = node.attributes.activations
  const given = attribute !== undefined && 'strings' in attribute ? (attribute.strings as readonly string[]) : undefined
  const names = given?.slice(direction * defaults.length, (direction + 1) * defaults.length) ?? defaults
  return names.map((name) => ACTIVATIONS[name]!)
}

/** Runs the layer; inputs are X [steps, batch, size], W, R, B, lengths (not given), initial h, initial c, peepholes. */
function run(node: Node, inputs: readonly Value[], gateCount: number, defaults: readonly string[], step: Step): Value[] {
  const [x, w, r, b, , h0, c0, p] = inputs
  const [steps, batch, size] = x!.dims as [number, number, number]
  const hidden = int(node, 'hidden_size', r!.dims[2]!)
  const directions = w!.dims[0]!
  const y = new Float64Array(steps * directions * batch * hidden)
  const [lastH, lastC] = [new Float64Array(directions * batch * hidden), new Float64Array(directions * batch * hidden)]
  const vectorAt = (value: Value | undefined, start: number, length: number): Vector =>
    value === undefined ? Array.from({ length }, () => 0) : Array.from(value.data.subarray(start, start + length))

  for (let d = 0; d < directions; d++) {
    const product = (value: Value, gate: number, of: Vector, biasAt: number): Vector =>
      Array.from({ length: hidden }, (_, i) => {
        const row = ((d * gateCount + gate) * hidden + i) * of.length
        const bias = b === undefined ? 0 : b.data[d * 2 * gateCount * hidden + (biasAt + gate) * hidden + i]!
        return of.reduce((total, number, k) => total + value.data[row + k]! * number, bias)
      })
    const gates: Gates = {
      hidden,
      activations: activationsOf(node, defaults, d),
      input: (gate, vector) => product(w!, gate, vector, 0),
      recurrent: (gate, vector) => product(r!, gate, vector, gateCount),
      peephole: (gate) => vectorAt(p, (d * 3 + gate) * hidden, hidden),
    }
    const backwards = d === 1 || text(node, 'direction', 'forward') === 'reverse'
    for (let n = 0; n < batch; n++) {
      const start = (d * batch + n) * hidden
      let state: State = { h: vectorAt(h0, start, hidden), c: vectorAt(c0, start, hidden) }
      for (let i = 0; i < steps; i++) {
        const time = backwards ? steps - 1 - i : i
        state = step(gates, vectorAt(x, (time * batch + n) * size, size), state)
        y.set(state.h, ((time * directions + d) * batch + n) * hidden)
      }
      lastH.set(state.h, start)
      lastC.set(state.c, start)
    }
  }
  const last = (data: Float64Array): Value => ({ kind: 'float', dims: [directions, batch, hidden], data })
  return [{ kind: 'float', dims: [steps, directions, batch, hidden], data: y }, last(lastH), last(lastC)]
}

export const recurrent: Family = {
  RNN: (inputs, node) => run(node, inputs, 1, ['Tanh'], rnnStep),
  GRU: (inputs, node) => run(node, inputs, 3, ['Sigmoid', 'Tanh'], gruStep(int(node, 'linear_before_reset', 0) !== 0)),
  LSTM: (inputs, node) => run(node, inputs, 4, ['Sigmoid', 'Tanh', 'Tanh'], lstmStep),
}
