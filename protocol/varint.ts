// Unsigned LEB128: seven bits a byte, the lowest first. What protobuf and WebAssembly write lengths as.

/** The bytes of a whole number of at most 2^53. */
export function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest]
}
