// The comparison behind `murmur model check`: right gradients pass, kinks or not; wrong ones, however they are wrong, do not.
import t from 'tap'
import { compareGradients, TOLERANCE } from '../../node/train/gradient-check.ts'
import type { Layout } from '../../protocol/layout.ts'
import { createPrng } from '../../protocol/prng.ts'

const HIDDEN = 24
const INPUTS = 10
const SAMPLES = 12
const layout: Layout = [
  { name: 'first', shape: [HIDDEN, INPUTS], offset: 0, segment: 'shared' },
  { name: 'bias', shape: [HIDDEN], offset: HIDDEN * INPUTS, segment: 'shared' },
  { name: 'second', shape: [HIDDEN], offset: HIDDEN * (INPUTS + 1), segment: 'shared' },
]
const SIZE = HIDDEN * (INPUTS + 2)

const prng = createPrng('network')
const params = Float32Array.from({ length: SIZE }, () => 0.5 * prng.normal())
const x = Array.from({ length: SAMPLES }, () => Array.from({ length: INPUTS }, () => prng.normal()))
const y = x.map(() => prng.normal())

/** Mean squared error of a network with one hidden layer of rectifiers, and its gradient. */
function network(w: Float32Array): { loss: number; gradient: Float64Array } {
  const gradient = new Float64Array(SIZE)
  let loss = 0
  for (const [s, sample] of x.entries()) {
    const hidden = Array.from({ length: HIDDEN }, (_, h) =>
      sample.reduce((sum, value, i) => sum + value * w[h * INPUTS + i]!, w[HIDDEN * INPUTS + h]!),
    )
    const second = (h: number) => HIDDEN * (INPUTS + 1) + h
    const error = hidden.reduce((sum, value, h) => sum + Math.max(0, value) * w[second(h)]!, 0) - y[s]!
    loss += error ** 2 / SAMPLES
    const slope = (2 * error) / SAMPLES
    for (const [h, value] of hidden.entries()) {
      if (value <= 0) continue
      gradient[second(h)]! += slope * value
      gradient[HIDDEN * INPUTS + h]! += slope * w[second(h)]!
      for (const [i, input] of sample.entries()) gradient[h * INPUTS + i]! += slope * w[second(h)]! * input
    }
  }
  // As onnxruntime would yield it.
  return { loss: Math.fround(loss), gradient }
}

async function errors(change: (gradient: Float64Array) => void = () => {}): Promise<Record<string, number>> {
  const { gradient } = network(params)
  change(gradient)
  const checks = await compareGradients(layout, params, gradient, async (at) => network(at).loss)
  return Object.fromEntries(checks.map(({ name, error }) => [name, error]))
}

t.test('the gradient of a network with kinks passes', async (t) => {
  for (const [name, error] of Object.entries(await errors())) t.ok(error < TOLERANCE, `${name}: ${error}`)
})

t.test('a gradient that is wrong is found, and only there', async (t) => {
  const bias = (gradient: Float64Array) => gradient.subarray(HIDDEN * INPUTS, HIDDEN * (INPUTS + 1))
  const first = (gradient: Float64Array) => gradient.subarray(0, HIDDEN * INPUTS)
  const put = (part: Float64Array, value: (old: number) => number) => part.set(part.map(value))
  const falsified: [what: string, tensor: string, change: (gradient: Float64Array) => void][] = [
    ['zero', 'first', (gradient) => first(gradient).fill(0)],
    ['half of it missing', 'first', (gradient) => first(gradient).fill(0, 0, (HIDDEN * INPUTS) / 2)],
    ['ten percent too long', 'first', (gradient) => put(first(gradient), (old) => 1.1 * old)],
    ['of the other sign', 'bias', (gradient) => put(bias(gradient), (old) => -old)],
    ['in another order', 'bias', (gradient) => bias(gradient).reverse()],
    ['with something added', 'bias', (gradient) => put(bias(gradient), (old) => old + 0.2)],
    ['not a number', 'bias', (gradient) => bias(gradient).fill(Number.NaN)],
  ]
  for (const [what, tensor, change] of falsified) {
    for (const [name, error] of Object.entries(await errors(change))) {
      t.equal(error <= TOLERANCE, name !== tensor, `${tensor} ${what}: ${name} has the error ${error}`)
    }
  }
})

t.test('a tensor that the loss does not depend on passes with a gradient of zero, and not with another', async (t) => {
  const wide: Layout = [...layout, { name: 'idle', shape: [5], offset: SIZE, segment: 'shared' }]
  const padded = (values: Float64Array, rest: number) => Float64Array.from({ length: SIZE + 5 }, (_, i) => values[i] ?? rest)
  const { gradient } = network(params)
  const from = Float32Array.from({ length: SIZE + 5 }, (_, i) => params[i] ?? 1)
  const idle = async (rest: number) =>
    (await compareGradients(wide, from, padded(gradient, rest), async (at) => network(at).loss)).find(({ name }) => name === 'idle')
  t.match(await idle(0), { norm: 0, error: 0 })
  t.ok((await idle(0.1))!.error > 0.9)
})

t.test('what a loss does in few runs is not asked of it in many', async (t) => {
  let runs = 0
  await compareGradients(layout, params, network(params).gradient, async (at) => {
    runs++
    return network(at).loss
  })
  t.ok(runs <= 1 + layout.length * 5 * 2 * 3, `${runs} runs`)
})
