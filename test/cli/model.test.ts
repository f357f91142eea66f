// `murmur model inspect` and `check`: what a model is, and whether its training graph is right, before anyone trains it.
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { command, mistakes, STACK } from '../helpers/commands.ts'
import { exportFile } from '../helpers/export-data.ts'
import { buildModel } from '../models/helpers.ts'

async function model(t: Test, args: string[]): Promise<string> {
  const { code, out, err } = await command(['model', ...args])
  t.equal(code, 0, err)
  t.notMatch(out + err, STACK, 'no stack trace')
  return out
}

t.test('inspect tells inputs, outputs, operators and what would be trained', async (t) => {
  const text = await model(t, ['inspect', 'mnist-cnn'])
  for (const part of [
    /Input +input: float32, batch x 1 x 28 x 28/,
    /Output .*: batch x 10/,
    /Operators: Conv x 2, .*MaxPool x 2, Relu x 2/,
    /conv2\.weight .* 32 x 16 x 5 x 5 .* 12,800 .* shared/,
    /18,378 numbers in 6 tensors: 18,378 trained and shared\./,
  ]) {
    t.match(text, part)
  }
  const split = await model(t, ['inspect', exportFile('cnn-batchnorm-17.onnx'), '--trainable', '!fc*', '--personal', '*bias'])
  t.match(split, /trained and shared, [\d,]+ running statistics, shared, [\d,]+ trained and kept by each peer\./)
  t.match(split, /Not trained: .*fc.* Name what to train with --trainable\./)
})

t.test('inspect --json is one object', async (t) => {
  const about = JSON.parse(await model(t, ['inspect', exportFile('mlp-softmax-17.onnx'), '--json']))
  t.match(about, { input: { name: 'input' }, outputs: [{ name: 'output' }], size: 114 })
  t.equal(about.parameters.length, 4)
  t.match(about.notes, [/ends in Softmax/])
})

t.test('check finds the gradients of correct models right, within a few runs', async (t) => {
  const told = await model(t, ['check', 'mnist-cnn'])
  t.match(told, /Compiled in \d+ ms; a step of 8 samples takes [\d.]+ ms\./)
  t.match(told, /Gradients of all 6 tensors \(18,378 numbers\) agree with finite differences/)
  // Batch normalisation fused into convolutions: rectifiers whose kinks are close.
  const { ok, worst, tensors } = JSON.parse(await model(t, ['check', exportFile('cnn-inference-17.onnx'), '--json']))
  t.ok(ok && worst < 0.05 && tensors.length === 8)
  t.match(await model(t, ['check', exportFile('autoencoder-13.onnx'), '--loss', 'mse']), /all 9 tensors/)
})

t.test('check says of what no training will change', async (t) => {
  const dir = t.testdir({
    'idle.onnx': Buffer.from(
      buildModel([4], ({ b, weight }, x) => {
        const idle = b.op('Mul', [b.op('ReduceSum', [weight('idle', [3])], { keepdims: { int: 0 } }), b.scalar(0)])
        return b.op('Add', [b.op('MatMul', [x, weight('w', [4, 3])]), idle])
      }),
    ),
  })
  t.match(await model(t, ['check', join(dir, 'idle.onnx')]), /The loss does not depend on idle: no training will change them\./)
})

t.test('what cannot be looked at or tried is refused in one sentence', async (t) => {
  const check = (...args: string[]) => ['model', 'check', ...args]
  await mistakes(t, [
    [check(exportFile('gpt-any-length-17.onnx')), /leaves the shape of a sample open; add --sample/],
    [check('mnist-cnn', '--sample', 'big'), /--sample cannot be "big": it must be like 64 or 3x32x32/],
    [['model', 'inspect', 'nothing.onnx'], /nothing\.onnx cannot be read: ENOENT/],
  ])
  t.match(await model(t, ['check', exportFile('gpt-any-length-17.onnx'), '--sample', '8']), /all 27 tensors/)
})
