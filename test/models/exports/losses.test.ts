// Models exported by PyTorch (make.py) train as they do in PyTorch: the same weights, data and settings, the same losses.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { dataOf, type ExportFixture, SAMPLES } from '../../helpers/export-data.ts'
import { evaluate, sgd, total, train } from '../helpers.ts'

const TOLERANCE = 1e-4

const deviation = (value: number, expected: number): number => Math.abs(value - expected) / Math.abs(expected)

const read = (file: string): Uint8Array => new Uint8Array(readFileSync(new URL(file, import.meta.url)))
const fixtures = Object.entries<ExportFixture>(JSON.parse(new TextDecoder().decode(read('losses.json'))))

for (const [name, fixture] of fixtures) {
  for (const opset of fixture.opsets) {
    t.test(`${name}, opset ${opset}`, async (t) => {
      const { loss, losses, batch } = fixture
      const model = read(`${name}-${opset}.onnx`)
      const data = dataOf(fixture)
      const split = fixture.trainable === undefined ? {} : { trainable: fixture.trainable }
      const meanLoss = async (from?: Float32Array): Promise<number> => {
        const { losses, weights } = await evaluate(model, data, { loss, split, ...(from && { from }) })
        return total(losses!) / total(weights!)
      }
      const before = deviation(await meanLoss(), fixture.before)
      t.ok(before < TOLERANCE, `evaluates as PyTorch does (deviation ${before.toExponential(1)})`)
      const index = losses.map((_, step) => Array.from({ length: batch }, (_, i) => (step * batch + i) % SAMPLES))
      const trained = await train(model, data, index, { loss, split, optimizer: sgd(fixture.optimizer) })
      const after = await meanLoss(trained.params)
      if (fixture.random) {
        t.ok(after < fixture.before, `learns: ${fixture.before} -> ${after}`)
        return
      }
      const worst = Math.max(...losses.map((expected, step) => deviation(trained.losses[step]!, expected)))
      t.ok(worst < TOLERANCE, `trains as PyTorch does (deviation ${worst.toExponential(1)})`)
      const end = deviation(after, fixture.after)
      t.ok(end < TOLERANCE, `ends where PyTorch does (deviation ${end.toExponential(1)})`)
    })
  }
}
