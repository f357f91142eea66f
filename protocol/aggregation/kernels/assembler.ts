// A small assembler for WebAssembly with SIMD: what the kernels need of the binary format (W3C, WebAssembly Core Specification 2.0,
// chapter 5) and no more. Instructions are nested lists of bytes; an operation is written as a function of its operands.
import { varint as uint } from '../../varint.ts'

export type Code = readonly (number | Code)[]

/** A value type, by its byte in the format. */
export type Type = number
export const I32: Type = 0x7f
export const F32: Type = 0x7d
export const V128: Type = 0x7b

export interface Fn {
  name: string
  params: readonly Type[]
  result?: Type
  /** The types of the locals that `body` uses besides the parameters, which come first. */
  locals: readonly Type[]
  body: Code
}

/** Builds a function: `build` gets the parameters' indices and takes locals as it needs them. */
export function fn(
  name: string,
  params: readonly Type[],
  result: Type | undefined,
  build: (local: (type: Type) => number, ...params: number[]) => Code,
): Fn {
  const locals: Type[] = []
  const local = (type: Type) => params.length + locals.push(type) - 1
  const body = build(local, ...params.keys())
  return { name, params, ...(result !== undefined && { result }), locals, body }
}

/** Locals of one type by names. */
export function named<Name extends string>(local: (type: Type) => number, type: Type, ...names: Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, local(type)])) as Record<Name, number>
}

/** The bytes of a module that exports these functions and imports shared memory as `env.memory`. */
export function moduleOf(functions: readonly Fn[]): Uint8Array {
  const types = functions.map(({ params, result }) => [0x60, vector(params.map((type) => [type])), vector(result ? [[result]] : [])])
  // Shared memory of 0 to 65,536 pages.
  const memory = [name('env'), name('memory'), 0x02, 0x03, uint(0), uint(65_536)]
  const bodies = functions.map(({ locals, body }) => {
    const code = flat([vector(locals.map((type) => [uint(1), type])), body, END])
    return [uint(code.length), code]
  })
  const sections: [number, Code][] = [
    [1, vector(types)],
    [2, vector([memory])],
    [3, vector(functions.map((_, i) => uint(i)))],
    [7, vector(functions.map((f, i) => [name(f.name), 0x00, uint(i)]))],
    [10, vector(bodies)],
  ]
  const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]
  return Uint8Array.from(
    flat([
      magic,
      sections.map(([id, content]) => {
        const bytes = flat(content)
        return [id, uint(bytes.length), bytes]
      }),
    ]),
  )
}

const END = 0x0b
const flat = (code: Code): number[] => (code as number[]).flat(Number.POSITIVE_INFINITY)
const vector = (items: readonly Code[]): Code => [uint(items.length), items]
const name = (text: string): Code => vector([...text].map((letter) => [letter.charCodeAt(0)]))

function int(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  // Until what is left is the sign of the last byte's highest bit, over and over.
  for (; rest < -64 || rest > 63; rest >>= 7) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest & 0x7f]
}

// Locals and control.
export const get = (local: number): Code => [0x20, uint(local)]
export const set = (local: number, value: Code): Code => [value, 0x21, uint(local)]
export const returned = (value: Code): Code => [value, 0x0f]
export const when = (condition: Code, then: Code): Code => [condition, 0x04, 0x40, then, END]
/** Runs `body` as long as `condition` holds, which is asked before each turn. */
export const loop = (condition: Code, body: Code): Code => [0x02, 0x40, 0x03, 0x40, condition, 0x45, 0x0d, 1, body, 0x0c, 0, END, END]

// 32-bit integers.
export const i32 = (value: number): Code => [0x41, int(value)]
const op =
  (code: number) =>
  (a: Code, b: Code): Code => [a, b, code]
export const add = op(0x6a)
export const sub = op(0x6b)
export const and = op(0x71)
export const shl = op(0x74)
export const below = op(0x49)
export const notBelow = op(0x4f)
export const step = (local: number, by: Code): Code => set(local, add(get(local), by))
export const load16 = (address: Code, offset = 0): Code => [address, 0x2f, 0, uint(offset)]
/** A float by its bits. */
export const floatOf = (bits: Code): Code => [bits, 0xbe]
export const mulFloat = op(0x94)

// 128-bit vectors: f32x4 unless the name says otherwise.
const simd = (code: number): Code => [0xfd, uint(code)]
const unary =
  (code: number) =>
  (a: Code): Code => [a, simd(code)]
const binary =
  (code: number) =>
  (a: Code, b: Code): Code => [a, b, simd(code)]
const loading =
  (code: number) =>
  (address: Code, offset = 0): Code => [address, simd(code), 0, uint(offset)]
export const load = loading(0x00)
export const load4Uint16 = loading(0x04)
export const loadSplat = loading(0x09)
export const store = (address: Code, value: Code, offset = 0): Code => [address, value, simd(0x0b), 0, uint(offset)]

export const splat = unary(0x13)
export const splatInt = unary(0x11)
export const splatByte = unary(0x0f)
export const vadd = binary(0xe4)
export const vsub = binary(0xe5)
export const vmul = binary(0xe6)
export const vdiv = binary(0xe7)
export const vabs = unary(0xe0)
/** The lower and the higher of two that are not NaN, in one machine instruction each. */
export const lower = binary(0xea)
export const higher = binary(0xeb)
// Comparisons give all ones or all zeros a lane; as integers, -1 or 0.
export const equal = binary(0x41)
export const differs = binary(0x42)
export const less = binary(0x43)
export const greater = binary(0x44)
export const atMost = binary(0x45)
export const equalBytes = binary(0x23)
export const both = binary(0x4e)
export const either = binary(0x50)
export const flipped = unary(0x4d)
/** Bits of `a` where those of `mask` are set, of `b` elsewhere. */
export const choose = (a: Code, b: Code, mask: Code): Code => [a, b, mask, simd(0x52)]
export const anyTrue = unary(0x53)

export const addInts = binary(0xae)
export const subInts = binary(0xb1)
export const shiftInts = binary(0xab)
export const floatsOfInts = unary(0xfa)
/** The lower or upper half of a vector's signed integers, twice as wide. */
export const widenBytesLow = unary(0x87)
export const widenBytesHigh = unary(0x88)
export const widenShortsLow = unary(0xa7)
export const widenShortsHigh = unary(0xa8)

export const addDoubles = binary(0xf0)
export const subDoubles = binary(0xf1)
export const mulDoubles = binary(0xf2)
/** Two doubles: the lower or the upper two floats. */
export const doublesLow = unary(0x5f)
export const doublesHigh = (a: Code): Code => doublesLow([a, a, simd(0x0d), 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15])
export const ZERO: Code = [simd(0x0c), new Array<number>(16).fill(0)]
