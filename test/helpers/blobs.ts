// Images of ten classes that are told apart at once: each class is bright in rows of its own. As files that the built-in models' data come in.
import { createPrng } from '../../protocol/prng.ts'

const SIDE = 28
const CLASSES = 10

/** The content of a directory of IDX files, with a test set. */
export function blobFiles(train: number, test: number): Record<string, Buffer> {
  return { ...pair('train', train), ...pair('t10k', test) }
}

function pair(name: string, samples: number): Record<string, Buffer> {
  const prng = createPrng(`blobs ${name}`)
  const labels = Uint8Array.from({ length: samples }, () => prng.int(CLASSES))
  const images = new Uint8Array(samples * SIDE * SIDE)
  for (let at = 0; at < images.length; at++) {
    const row = Math.floor(at / SIDE) % SIDE
    const isOwn = Math.floor(row / 2) - 2 === labels[Math.floor(at / SIDE ** 2)]
    images[at] = Math.floor(96 * prng.next()) + (isOwn ? 96 : 0)
  }
  return {
    [`${name}-images-idx3-ubyte`]: Buffer.concat([header(0x803, samples, SIDE, SIDE), images]),
    [`${name}-labels-idx1-ubyte`]: Buffer.concat([header(0x801, samples), labels]),
  }
}

function header(...words: number[]): Buffer {
  const bytes = Buffer.alloc(4 * words.length)
  for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, 4 * i)
  return bytes
}
