// Unsigned LEB128: seven bits a byte, the lowest first. What protobuf and WebAssembly write lengths as.

/** The bytes of a whole number of at most 2^53. */
export function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest]
}

/** The number of at most 2^31 - 1 that begins at `at`, in its shortest form, and where it ends; undefined for any other bytes. */
export function readVarint(bytes: Uint8Array, at: number): { value: number; end: number } | undefined {
  let value = 0
  for (let i = 0; i < 5; i++) {
    const byte = bytes[at + i]
    if (byte === undefined || (i === 4 && byte > 0x07)) return undefined
    value += (byte & 0x7f) * 2 ** (7 * i)
    // A last byte of zeros would be another form of the same number.
    if (byte <= 0x7f) return byte === 0 && i > 0 ? undefined : { value, end: at + i + 1 }
  }
  return undefined
}
