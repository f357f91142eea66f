// The trimmed mean and its audit as WebAssembly, made for a number of rows and of values cut off at either end: four coordinates at a
// time, all rows' values in vector registers, through a selection network.
import * as wasm from './assembler.ts'
import { DROPPED, selectionNetwork, type Use } from './selection.ts'

const VECTOR_BYTES = 16

/** Bytes that `trim` takes at a time; of few rows, in one turn of its loop. */
export const TRIM_BYTES = 64
const FEW_ROWS = 16

/** Rows begin `stride` bytes apart. Exports `trim` and `audit` as `TrimKernels` has them. */
export function trimModule(rows: number, trim: number, stride: number): Uint8Array {
  return wasm.moduleOf([trimmedMean(rows, trim, stride), audit(rows, trim, stride)])
}

export interface TrimKernels {
  /** Writes the means; not 0 where one, or their sum, was too large for a float. */
  trim(base: number, bytes: number, out: number): number
  /** Adds to the four floats of each row in `slots` the share of places in which the row survived, lane by lane. */
  audit(base: number, bytes: number, slots: number): void
}

function trimmedMean(rows: number, trim: number, stride: number): wasm.Fn {
  return wasm.fn('trim', [wasm.I32, wasm.I32, wasm.I32], wasm.I32, (local, base, bytes, out) => {
    const end = local(wasm.I32)
    // All means together: not finite where one is not.
    const all = local(wasm.V128)
    const mean = local(wasm.V128)
    const wires = Array.from({ length: rows }, () => local(wasm.V128))
    const sum = local(wasm.V128)
    const isKept = (position: number) => position >= trim && position < rows - trim
    const count = rows - 2 * trim
    // Dividing is slower, and without bias where the reciprocal is not exact: what all rows agree on must not drift from round to round.
    const isPower = Number.isInteger(Math.log2(count))
    const meanOf = (sum: wasm.Code) => (isPower ? wasm.vmul(sum, constant(1 / count)) : wasm.vdiv(sum, constant(count)))
    const unrolled = rows <= FEW_ROWS ? TRIM_BYTES / VECTOR_BYTES : 1

    function vector(offset: number): wasm.Code {
      let terms = 0
      const added = (wire: number) => {
        if (!isKept(wire)) return []
        const value = wasm.get(wires[wire]!)
        return wasm.set(sum, terms++ === 0 ? value : wasm.vadd(wasm.get(sum), value))
      }
      return [
        select({ wires, stride, base, offset, spare: mean }, (position) => (isKept(position) ? 'kept' : DROPPED), added),
        wasm.set(mean, meanOf(wasm.get(sum))),
        wasm.store(wasm.get(out), wasm.get(mean), offset),
        wasm.set(all, wasm.vadd(wasm.get(all), wasm.get(mean))),
      ]
    }

    return [
      wasm.set(end, wasm.add(wasm.get(base), wasm.get(bytes))),
      wasm.loop(wasm.below(wasm.get(base), wasm.get(end)), [
        Array.from({ length: unrolled }, (_, i) => vector(i * VECTOR_BYTES)),
        wasm.step(base, wasm.i32(unrolled * VECTOR_BYTES)),
        wasm.step(out, wasm.i32(unrolled * VECTOR_BYTES)),
      ]),
      // Infinity less infinity is NaN.
      wasm.set(all, wasm.vsub(wasm.get(all), wasm.get(all))),
      wasm.anyTrue(wasm.differs(wasm.get(all), wasm.get(all))),
    ]
  })
}

function audit(rows: number, trim: number, stride: number): wasm.Fn {
  return wasm.fn('audit', [wasm.I32, wasm.I32, wasm.I32], undefined, (local, base, bytes, slots) => {
    const end = local(wasm.I32)
    const wires = Array.from({ length: rows }, () => local(wasm.V128))
    // The innermost values cut off, how many lie beyond them and how many equal them; then, of each equal one, its share of the places left.
    const cuts = wasm.named(local, wasm.V128, 'low', 'high', 'belowLow', 'atLow', 'aboveHigh', 'atHigh', 'x')
    const { low, high, belowLow, atLow, aboveHigh, atHigh, x } = cuts
    const counted = (counter: number, mask: wasm.Code) => wasm.set(counter, wasm.subInts(wasm.get(counter), mask))
    const shareOf = (beyond: number, at: number) =>
      wasm.vdiv(wasm.vsub(wasm.floatsOfInts(wasm.addInts(wasm.get(beyond), wasm.get(at))), constant(trim)), wasm.floatsOfInts(wasm.get(at)))
    const allEqual = wasm.vdiv(constant(rows - 2 * trim), wasm.floatsOfInts(wasm.get(atLow)))
    const rowNumbers = Array.from({ length: rows }, (_, i) => i)
    return [
      wasm.set(end, wasm.add(wasm.get(base), wasm.get(bytes))),
      wasm.loop(wasm.below(wasm.get(base), wasm.get(end)), [
        select({ wires, stride, base, offset: 0, spare: x }, (position) =>
          position === trim - 1 ? 'low' : position === rows - trim ? 'high' : position < trim || position > rows - trim ? DROPPED : 'kept',
        ),
        wasm.set(low, wasm.get(wires[trim - 1]!)),
        wasm.set(high, wasm.get(wires[rows - trim]!)),
        [belowLow, atLow, aboveHigh, atHigh].map((counter) => wasm.set(counter, wasm.ZERO)),
        rowNumbers.map((i) => [
          wasm.set(x, wasm.load(wasm.get(base), i * stride)),
          counted(belowLow, wasm.less(wasm.get(x), wasm.get(low))),
          counted(atLow, wasm.equal(wasm.get(x), wasm.get(low))),
          counted(aboveHigh, wasm.greater(wasm.get(x), wasm.get(high))),
          counted(atHigh, wasm.equal(wasm.get(x), wasm.get(high))),
        ]),
        wasm.set(atHigh, shareOf(aboveHigh, atHigh)),
        wasm.set(atLow, wasm.choose(allEqual, shareOf(belowLow, atLow), wasm.equal(wasm.get(low), wasm.get(high)))),
        rowNumbers.map((i) => {
          const isInside = wasm.both(wasm.greater(wasm.get(x), wasm.get(low)), wasm.less(wasm.get(x), wasm.get(high)))
          const inside = wasm.either(wasm.both(constant(1), isInside), wasm.both(wasm.get(atHigh), wasm.equal(wasm.get(x), wasm.get(high))))
          const share = wasm.choose(wasm.get(atLow), inside, wasm.equal(wasm.get(x), wasm.get(low)))
          return [
            wasm.set(x, wasm.load(wasm.get(base), i * stride)),
            wasm.store(wasm.get(slots), wasm.vadd(wasm.load(wasm.get(slots), i * VECTOR_BYTES), share), i * VECTOR_BYTES),
          ]
        }),
        wasm.step(base, wasm.i32(VECTOR_BYTES)),
      ]),
    ]
  })
}

/** Loads a vector of each row, when it is first needed, and leaves on each wire a value of the use that its position has: then `done`. */
function select(
  { wires, stride, base, offset, spare }: { wires: number[]; stride: number; base: number; offset: number; spare: number },
  use: Use,
  done: (wire: number) => wasm.Code = () => [],
): wasm.Code {
  const comparators = selectionNetwork(wires.length, use)
  const unloaded = new Set(wires.keys())
  const loaded = (wire: number) => (unloaded.delete(wire) ? wasm.set(wires[wire]!, wasm.load(wasm.get(base), wire * stride + offset)) : [])
  const last = new Map(comparators.flatMap(({ low, high }, i) => [[low, i] as const, [high, i] as const]))
  const steps = comparators.map(({ low, high, needsLow, needsHigh }, i) => {
    const [a, b] = [wires[low]!, wires[high]!]
    const [lower, higher] = [wasm.lower(wasm.get(a), wasm.get(b)), wasm.higher(wasm.get(a), wasm.get(b))]
    return [
      [low, high].map(loaded),
      needsLow && needsHigh ? [wasm.set(spare, lower), wasm.set(b, higher), wasm.set(a, wasm.get(spare))] : [],
      needsLow && !needsHigh ? wasm.set(a, lower) : [],
      needsHigh && !needsLow ? wasm.set(b, higher) : [],
      [low, high].filter((wire) => last.get(wire) === i).map(done),
    ]
  })
  return [steps, [...unloaded].map((wire) => [loaded(wire), done(wire)])]
}

const bits = new DataView(new ArrayBuffer(4))

function constant(value: number): wasm.Code {
  bits.setFloat32(0, value)
  return wasm.splat(wasm.floatOf(wasm.i32(bits.getInt32(0))))
}
