// IEEE 754 single precision, little-endian, whatever the platform: four bytes a value, bit for bit.
import { boundOf, failureOf } from './gate.ts'
import type { Codec, DecodeFailure } from './index.ts'

const BYTES = 4
/** Largest finite float32. */
const MAX = (2 - 2 ** -23) * 2 ** 127
const PLATFORM_IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** `native`: the platform's own floats are little-endian and can be taken over in bulk. */
export function float32Codec(native: boolean): Codec {
  return {
    name: 'float32',
    largest: MAX,
    encodedLength: (count) => count * BYTES,
    encode(values) {
      if (native) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice()
      const bytes = new Uint8Array(values.length * BYTES)
      const view = new DataView(bytes.buffer)
      for (let i = 0; i < values.length; i++) view.setFloat32(i * BYTES, values[i]!, true)
      return bytes
    },
    decode(bytes, count, maxAbs) {
      if (bytes.length !== count * BYTES) return { rejected: 'wrong-length' }
      const values = native ? nativeView(bytes, count) : readEach(bytes, count)
      const rejected = gate(values, maxAbs)
      return rejected === undefined ? { values } : { rejected }
    },
  }
}

export const float32: Codec = float32Codec(PLATFORM_IS_LITTLE_ENDIAN)

function nativeView(bytes: Uint8Array, count: number): Float32Array {
  // A typed array must begin at a multiple of its element size; bytes cut from a message may not.
  const aligned = bytes.byteOffset % BYTES === 0 ? bytes : Uint8Array.from(bytes)
  return new Float32Array(aligned.buffer, aligned.byteOffset, count)
}

function readEach(bytes: Uint8Array, count: number): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values = new Float32Array(count)
  for (let i = 0; i < count; i++) values[i] = view.getFloat32(i * BYTES, true)
  return values
}

function gate(values: Float32Array, maxAbs: number): DecodeFailure | undefined {
  const bound = boundOf(maxAbs)
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!
    if (!(Math.abs(x) <= bound)) return failureOf(x)
  }
  return undefined
}
