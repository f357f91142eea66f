// Builds IDX files for tests.

/** @param type 8 (uint8), 12 (int32) or 13 (float32) */
export function idxFile(type: number, shape: readonly number[], values: readonly number[]): Buffer {
  const size = type === 8 ? 1 : 4
  const bytes = Buffer.alloc(4 + 4 * shape.length + size * values.length)
  bytes[2] = type
  bytes[3] = shape.length
  shape.forEach((dim, i) => {
    bytes.writeUInt32BE(dim, 4 + 4 * i)
  })
  values.forEach((value, i) => {
    const at = 4 + 4 * shape.length + size * i
    if (type === 8) bytes[at] = value
    else if (type === 12) bytes.writeInt32BE(value, at)
    else bytes.writeFloatBE(value, at)
  })
  return bytes
}

/** `samples` images of 2x2 whose first value is the sample's number. */
export const images = (samples: number): Buffer =>
  idxFile(
    8,
    [samples, 2, 2],
    Array.from({ length: samples * 4 }, (_, i) => (i % 4 === 0 ? i / 4 : 7)),
  )

/** Labels 0, 1, 2, 0, 1, 2, ... */
export const labels = (samples: number): Buffer =>
  idxFile(
    8,
    [samples],
    Array.from({ length: samples }, (_, i) => i % 3),
  )
