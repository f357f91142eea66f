// A convolutional autoencoder of 28x28 grey images with values from 0 to 1: its target is its input.
import type { Prng } from '../../protocol/prng.ts'
import { GLOROT, layers } from './layers.ts'

const IMAGE = [1, 28, 28]
/** The image once it was halved twice. */
const SIDE = 7

export interface AutoencoderOptions {
  /** Channels of the outer and the inner convolution. */
  channels?: readonly [outer: number, inner: number]
  /** Numbers that an image is squeezed into. */
  code?: number
}

export function autoencoder(prng: Prng, { channels: [outer, inner] = [16, 32], code = 32 }: AutoencoderOptions = {}): Uint8Array {
  const n = layers('autoencoder', prng, IMAGE)
  const halve = { stride: 2, pad: 1 }
  let x = n.relu(n.conv(n.input, 'encoder.conv1', 1, outer, 3, halve))
  x = n.relu(n.conv(x, 'encoder.conv2', outer, inner, 3, halve))
  x = n.linear(n.flatten(x), 'encoder.fc', inner * SIDE * SIDE, code, GLOROT)
  x = n.relu(n.linear(x, 'decoder.fc', code, inner * SIDE * SIDE))
  x = n.op('Reshape', [x, n.ints([-1, inner, SIDE, SIDE])])
  // Kernels that the stride divides leave no checkerboard (Odena et al. 2016).
  x = n.relu(n.convTranspose(x, 'decoder.conv1', inner, outer, 4, halve))
  x = n.convTranspose(x, 'decoder.conv2', outer, 1, 4, { ...halve, ...GLOROT })
  return n.finish(n.op('Sigmoid', [x]), IMAGE)
}
