// Trains the benchmark's models with TensorFlow.js. Usage: node tfjs-baseline.ts wasm | cpu <folder with node_modules>
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { answer } from './answer.ts'
import { taskOf } from './cases.ts'

const [backend = '', folder = ''] = process.argv.slice(2)
const require = createRequire(join(folder, 'package.json'))
const tf = require('@tensorflow/tfjs-core')
const layers = require('@tensorflow/tfjs-layers')
const package_ = `@tensorflow/tfjs-backend-${backend}`
const loaded = require(package_)
// Without its checks, and without its advice to install its native package.
tf.enableProdMode()
if (backend === 'wasm') {
  loaded.setWasmPaths(`${dirname(require.resolve(`${package_}/package.json`))}/dist/`)
  loaded.setThreadsCount(1)
}

const dense = (units: number, activation?: string) => layers.layers.dense({ units, ...(activation !== undefined && { activation }) })
const stage = (filters: number) => [
  layers.layers.conv2d({ filters, kernelSize: 5 }),
  layers.layers.maxPooling2d({ poolSize: 2 }),
  layers.layers.reLU(),
]
const MODELS: Partial<Record<string, () => unknown[]>> = {
  mlp: () => [dense(128, 'relu'), dense(10)],
  cnn: () => [...stage(16), ...stage(32), layers.layers.flatten(), dense(10)],
}

let train: (steps: number) => void

await answer({
  async open(name, batch) {
    await tf.setBackend(backend)
    await tf.ready()
    const { data } = taskOf(name)
    const shape = name === 'cnn' ? [28, 28, 1] : [784]
    const model = layers.sequential()
    model.add(layers.layers.inputLayer({ inputShape: shape }))
    for (const layer of MODELS[name]!()) model.add(layer)
    const x = tf.tensor(data.x, [data.samples, ...shape])
    const y = tf.cast(tf.oneHot(tf.tensor1d(data.y, 'int32'), 10), 'float32')
    const optimizer = tf.train.momentum(0.001, 0.9)
    train = (steps) => {
      for (let step = 0; step < steps; step++) {
        tf.tidy(() => {
          const rows = tf.tensor1d(
            Int32Array.from({ length: batch }, () => Math.floor(Math.random() * data.samples)),
            'int32',
          )
          const [batchX, batchY] = [tf.gather(x, rows), tf.gather(y, rows)]
          optimizer.minimize(() => tf.losses.softmaxCrossEntropy(batchY, model.apply(batchX, { training: true })))
        })
      }
    }
    return `TensorFlow.js ${tf.version_core} ${backend}`
  },
  run: (steps) => train(steps),
})
