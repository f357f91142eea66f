// The passes that need no code of their own for each number of rows, as one WebAssembly module: weighted sums, squared distances, and
// the decoders with the gate. Addresses and lengths are in bytes; vectors are read whole, so that rows are padded.
import * as wasm from './assembler.ts'

const VECTOR_BYTES = 16
/** Bytes that `weighted` and `mix`, and that the distances take at a time. */
export const WEIGHTED_BYTES = 128
export const DISTANCE_BYTES = 64
/** 64 additions in each of 16 sums: the error stays below 2^-17. */
const SUMMED_BYTES = 4096

export interface Passes {
  /** Writes the sum of weights[i] x row i of `count` rows `stride` apart. */
  weighted(base: number, stride: number, count: number, weights: number, out: number, outStride: number, rows: number, bytes: number): void
  /** As `weighted` for an even number of result rows `outStride` apart, whose weights follow one another. */
  mix(base: number, stride: number, count: number, weights: number, out: number, outStride: number, rows: number, bytes: number): void
  /**
   * Adds the squared distances of two rows `stride` apart from another to the two doubles in `slot` and those in the next: in float32
   * only over SUMMED_BYTES.
   */
  squares(first: number, stride: number, other: number, bytes: number, slot: number): void
  /** As `squares` of one row, all in float64: neither overflows nor loses small differences. */
  squaresWide(a: number, b: number, bytes: number, slot: number): void
  /** As `squares` for rows i and j <= i of `rows`, in float32 within the call, which should be short; into slot i x slotStride + 16 j. Slots of other pairs are overwritten with anything. */
  pairs(base: number, stride: number, rows: number, bytes: number, slots: number, slotStride: number): void
  /** Not 0 where a float is not within the bound, or NaN. */
  gate(at: number, bytes: number, bound: number): number
  /** Decode `bytes` from `from` into floats at `to`; not 0 where one is not within the bound, or the codec refuses it. */
  halves(from: number, bytes: number, to: number, bound: number): number
  blocks(from: number, bytes: number, to: number, bound: number): number
}

export function passesModule(): Uint8Array {
  return wasm.moduleOf([weighted('weighted', 1, 8), weighted('mix', 2, 4), squares(), squaresWide(), pairs(), gate(), halves(), blocks()])
}

const { I32, F32, V128, get, set, add, step, i32, below, loop, load, store, vadd, vsub, vmul } = wasm
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))

/** `tall` result rows and `wide` vectors of each at a time, in registers while all rows pass by. */
function weighted(name: string, tall: number, wide: number): wasm.Fn {
  return wasm.fn(
    name,
    times(8, () => I32),
    undefined,
    (local, base, stride, count, weights, out, outStride, rows, bytes) => {
      const ints = wasm.named(local, I32, 'end', 'row', 'rowWeights', 'target', 'x', 'weight', 'weightsEnd', 'weightBytes')
      const { end, row, rowWeights, target, x, weight, weightsEnd, weightBytes } = ints
      const factors = times(tall, () => local(V128))
      const sums = times(tall, () => times(wide, () => local(V128)))
      const value = local(V128)
      /** `from` and `times` steps of `by`. */
      const along = (from: number, by: number, times: number): wasm.Code =>
        times === 0 ? get(from) : add(along(from, by, times - 1), get(by))
      return [
        set(weightBytes, wasm.shl(get(count), i32(2))),
        set(end, add(get(base), get(bytes))),
        loop(below(get(base), get(end)), [
          set(row, i32(0)),
          set(rowWeights, get(weights)),
          set(target, get(out)),
          loop(below(get(row), get(rows)), [
            sums.flat().map((sum) => set(sum, wasm.ZERO)),
            set(x, get(base)),
            set(weight, get(rowWeights)),
            set(weightsEnd, add(get(rowWeights), get(weightBytes))),
            loop(below(get(weight), get(weightsEnd)), [
              factors.map((factor, r) => set(factor, wasm.loadSplat(along(weight, weightBytes, r)))),
              times(wide, (v) => [
                set(value, load(get(x), v * VECTOR_BYTES)),
                factors.map((factor, r) => set(sums[r]![v]!, vadd(get(sums[r]![v]!), vmul(get(factor), get(value))))),
              ]),
              step(x, get(stride)),
              step(weight, i32(4)),
            ]),
            sums.map((vectors, r) => vectors.map((sum, v) => store(along(target, outStride, r), get(sum), v * VECTOR_BYTES))),
            step(row, i32(tall)),
            set(rowWeights, along(rowWeights, weightBytes, tall)),
            set(target, along(target, outStride, tall)),
          ]),
          step(base, i32(wide * VECTOR_BYTES)),
          step(out, i32(wide * VECTOR_BYTES)),
        ]),
      ]
    },
  )
}

const addSquare = (sum: number, difference: number) => set(sum, vadd(get(sum), vmul(get(difference), get(difference))))
const addDoubles = (slot: wasm.Code, offset: number, sum: wasm.Code) =>
  store(slot, wasm.addDoubles(load(slot, offset), wasm.addDoubles(wasm.doublesLow(sum), wasm.doublesHigh(sum))), offset)

/** Two rows at a time, which share the loads of the other. */
function squares(): wasm.Fn {
  return wasm.fn(
    'squares',
    times(5, () => I32),
    undefined,
    (local, first, stride, other, bytes, slot) => {
      const [second, last, end, value] = [local(I32), local(I32), local(I32), local(V128)]
      const rows = [first, second].map((row) => ({ row, lanes: times(4, () => ({ sum: local(V128), difference: local(V128) })) }))
      return [
        set(second, add(get(first), get(stride))),
        set(last, add(get(first), get(bytes))),
        loop(below(get(first), get(last)), [
          set(end, add(get(first), i32(SUMMED_BYTES))),
          wasm.when(below(get(last), get(end)), set(end, get(last))),
          rows.map(({ lanes }) => lanes.map(({ sum }) => set(sum, wasm.ZERO))),
          loop(below(get(first), get(end)), [
            times(4, (v) => [
              set(value, load(get(other), v * VECTOR_BYTES)),
              rows.map(({ row, lanes }) => [
                set(lanes[v]!.difference, vsub(load(get(row), v * VECTOR_BYTES), get(value))),
                addSquare(lanes[v]!.sum, lanes[v]!.difference),
              ]),
            ]),
            [first, second, other].map((pointer) => step(pointer, i32(DISTANCE_BYTES))),
          ]),
          rows.map(({ lanes }, i) => {
            const [a, b, c, d] = lanes.map(({ sum }) => get(sum))
            return [set(lanes[0]!.sum, vadd(vadd(a!, b!), vadd(c!, d!))), addDoubles(get(slot), i * VECTOR_BYTES, get(lanes[0]!.sum))]
          }),
        ]),
      ]
    },
  )
}

function squaresWide(): wasm.Fn {
  return wasm.fn('squaresWide', [I32, I32, I32, I32], undefined, (local, a, b, bytes, slot) => {
    const [end, x, y, difference, sum] = [local(I32), local(V128), local(V128), local(V128), local(V128)]
    const half = (doubles: (value: wasm.Code) => wasm.Code) => [
      set(difference, wasm.subDoubles(doubles(get(x)), doubles(get(y)))),
      set(sum, wasm.addDoubles(get(sum), wasm.mulDoubles(get(difference), get(difference)))),
    ]
    return [
      set(end, add(get(a), get(bytes))),
      loop(below(get(a), get(end)), [
        set(x, load(get(a))),
        set(y, load(get(b))),
        half(wasm.doublesLow),
        half(wasm.doublesHigh),
        step(a, i32(VECTOR_BYTES)),
        step(b, i32(VECTOR_BYTES)),
      ]),
      store(get(slot), wasm.addDoubles(load(get(slot)), get(sum))),
    ]
  })
}

/** Two rows against four at a time: eight sums stay in registers, and each value loaded is used twice or four times. */
function pairs(): wasm.Fn {
  const [TALL, WIDE, UNROLLED] = [2, 4, 2]
  return wasm.fn('pairs', [I32, I32, I32, I32, I32, I32], undefined, (local, base, stride, rows, bytes, slots, slotStride) => {
    const { i, j, first, second, end, slot } = wasm.named(local, I32, 'i', 'j', 'first', 'second', 'end', 'slot')
    const tall = times(TALL, () => ({ row: local(I32), value: local(V128) }))
    const wide = times(WIDE, () => local(I32))
    const sums = times(TALL, () => times(WIDE, () => local(V128)))
    const [value, difference] = [local(V128), local(V128)]
    const follow = (pointers: number[]) => pointers.slice(1).map((pointer, k) => set(pointer, add(get(pointers[k]!), get(stride))))
    const tallRows = tall.map(({ row }) => row)
    return [
      set(first, get(base)),
      loop(below(get(i), get(rows)), [
        set(j, i32(0)),
        set(second, get(base)),
        set(slot, get(slots)),
        loop(below(get(j), add(get(i), i32(TALL))), [
          set(tallRows[0]!, get(first)),
          follow(tallRows),
          set(wide[0]!, get(second)),
          follow(wide),
          sums.flat().map((sum) => set(sum, wasm.ZERO)),
          set(end, add(get(first), get(bytes))),
          loop(below(get(tallRows[0]!), get(end)), [
            times(UNROLLED, (u) => [
              tall.map(({ row, value }) => set(value, load(get(row), u * VECTOR_BYTES))),
              wide.map((row, w) => [
                set(value, load(get(row), u * VECTOR_BYTES)),
                tall.map((other, t) => [set(difference, vsub(get(other.value), get(value))), addSquare(sums[t]![w]!, difference)]),
              ]),
            ]),
            [...tallRows, ...wide].map((row) => step(row, i32(UNROLLED * VECTOR_BYTES))),
          ]),
          sums.map((row, t) =>
            row.map((sum, w) => addDoubles(t === 0 ? get(slot) : add(get(slot), get(slotStride)), w * VECTOR_BYTES, get(sum))),
          ),
          step(j, i32(WIDE)),
          set(second, add(get(wide[WIDE - 1]!), wasm.sub(get(stride), get(bytes)))),
          step(slot, i32(WIDE * VECTOR_BYTES)),
        ]),
        step(i, i32(TALL)),
        times(TALL, () => [step(first, get(stride)), step(slots, get(slotStride))]),
      ]),
    ]
  })
}

/** Clears bits of `good` where a magnitude is above the bound, or NaN. */
const gated = (good: number, magnitude: wasm.Code, bound: number): wasm.Code =>
  set(good, wasm.both(get(good), wasm.atMost(magnitude, get(bound))))
const ALL_ONES: wasm.Code = wasm.flipped(wasm.ZERO)
const anyBad = (good: number): wasm.Code => wasm.anyTrue(wasm.flipped(get(good)))

function gate(): wasm.Fn {
  return wasm.fn('gate', [I32, I32, F32], I32, (local, at, bytes, bound) => {
    const [end, good, most] = [local(I32), local(V128), local(V128)]
    return [
      set(end, add(get(at), get(bytes))),
      set(most, wasm.splat(get(bound))),
      set(good, ALL_ONES),
      loop(below(get(at), get(end)), [
        times(4, (v) => gated(good, wasm.vabs(load(get(at), v * VECTOR_BYTES)), most)),
        step(at, i32(4 * VECTOR_BYTES)),
      ]),
      anyBad(good),
    ]
  })
}

/** What a half's exponent and fraction, put where float32 has its own, are off by: 2^112, which makes subnormal halves right as well. */
const HALF_SCALE = wasm.floatOf(i32(0x77800000))
const HALF_SHIFT = i32(13)

/** Infinities and NaN come out as 65,536 or more, above every bound that halves have. */
function halves(): wasm.Fn {
  return wasm.fn('halves', [I32, I32, I32, F32], I32, (local, from, bytes, to, bound) => {
    const [end, good, most, half, magnitude] = [local(I32), local(V128), local(V128), local(V128), local(V128)]
    const masked = (mask: number) => wasm.both(get(half), wasm.splatInt(i32(mask)))
    return [
      set(end, add(get(from), get(bytes))),
      set(most, wasm.splat(get(bound))),
      set(good, ALL_ONES),
      loop(below(get(from), get(end)), [
        times(2, (v) => [
          set(half, wasm.load4Uint16(get(from), v * 8)),
          set(magnitude, vmul(wasm.shiftInts(masked(0x7fff), HALF_SHIFT), wasm.splat(HALF_SCALE))),
          gated(good, get(magnitude), most),
          store(get(to), wasm.either(get(magnitude), wasm.shiftInts(masked(0x8000), i32(16))), v * VECTOR_BYTES),
        ]),
        step(from, i32(16)),
        step(to, i32(32)),
      ]),
      anyBad(good),
    ]
  })
}

/** int8: blocks of a float16 scale and 256 levels. */
function blocks(): wasm.Fn {
  return wasm.fn('blocks', [I32, I32, I32, F32], I32, (local, from, bytes, to, bound) => {
    const [end, blockEnd, scaleBits] = [local(I32), local(I32), local(I32)]
    const { good, most, scale, levels, shorts, value } = wasm.named(local, V128, 'good', 'most', 'scale', 'levels', 'shorts', 'value')
    const quarter = (offset: number, ints: wasm.Code) => [
      set(value, vmul(wasm.floatsOfInts(ints), get(scale))),
      gated(good, wasm.vabs(get(value)), most),
      store(get(to), get(value), offset),
    ]
    return [
      set(end, add(get(from), get(bytes))),
      set(most, wasm.splat(get(bound))),
      set(good, ALL_ONES),
      loop(below(get(from), get(end)), [
        set(scaleBits, wasm.load16(get(from))),
        // Not finite, or with a sign.
        wasm.when(wasm.notBelow(get(scaleBits), i32(0x7c00)), wasm.returned(i32(1))),
        set(scale, wasm.splat(wasm.mulFloat(wasm.floatOf(wasm.shl(get(scaleBits), HALF_SHIFT)), HALF_SCALE))),
        step(from, i32(2)),
        set(blockEnd, add(get(from), i32(256))),
        loop(wasm.and(below(get(from), get(blockEnd)), below(get(from), get(end))), [
          set(levels, load(get(from))),
          set(good, wasm.both(get(good), wasm.flipped(wasm.equalBytes(get(levels), wasm.splatByte(i32(-128)))))),
          set(shorts, wasm.widenBytesLow(get(levels))),
          quarter(0, wasm.widenShortsLow(get(shorts))),
          quarter(16, wasm.widenShortsHigh(get(shorts))),
          set(shorts, wasm.widenBytesHigh(get(levels))),
          quarter(32, wasm.widenShortsLow(get(shorts))),
          quarter(48, wasm.widenShortsHigh(get(shorts))),
          step(from, i32(16)),
          step(to, i32(64)),
        ]),
      ]),
      anyBad(good),
    ]
  })
}
