// A residual network for small colour images (He et al. 2016, the CIFAR-10 form) with GroupNorm (Wu and He 2018), which unlike
// BatchNorm keeps no statistics of a peer's data and works with batches of any size.
import type { Prng } from '../../protocol/prng.ts'
import { GLOROT, layers } from './layers.ts'

export interface ResNetOptions {
  image?: readonly [channels: number, height: number, width: number]
  classes?: number
  /** Channels of each stage; every stage but the first halves the image. Multiples of `groups`. */
  widths?: readonly number[]
  /** Residual blocks a stage, of two convolutions each: 1 makes ResNet-8, 3 ResNet-20. */
  blocks?: number
  groups?: number
}

export function resnet(
  prng: Prng,
  { image = [3, 32, 32], classes = 10, widths = [16, 32, 64], blocks = 1, groups = 8 }: ResNetOptions = {},
): Uint8Array {
  const n = layers(`resnet${2 * widths.length * blocks + 2}-gn`, prng, image)
  const conv = (x: string, name: string, from: number, to: number, kernel: number, stride: number, start = 1) =>
    n.groupNorm(n.conv(x, name, from, to, kernel, { stride, pad: (kernel - 1) / 2, bias: false }), `${name}.norm`, to, groups, start)

  let from = widths[0]!
  let x = n.relu(conv(n.input, 'stem', image[0], from, 3, 1))
  for (const [stage, to] of widths.entries()) {
    for (let block = 0; block < blocks; block++) {
      const name = `stage${stage + 1}.${block}`
      const stride = stage > 0 && block === 0 ? 2 : 1
      const inner = n.relu(conv(x, `${name}.conv1`, from, to, 3, stride))
      // Scaled by zero at first, so that every block starts as its shortcut (Goyal et al. 2017).
      const residual = conv(inner, `${name}.conv2`, to, to, 3, 1, 0)
      const shortcut = stride === 1 && from === to ? x : conv(x, `${name}.shortcut`, from, to, 1, stride)
      x = n.relu(n.op('Add', [residual, shortcut]))
      from = to
    }
  }
  x = n.flatten(n.op('GlobalAveragePool', [x]))
  return n.finish(n.linear(x, 'fc', from, classes, GLOROT), [classes])
}
