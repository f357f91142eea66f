// A thread's hands: performs parts of jobs with the kernels, in memory that it shares with others.
import type { DecodeFailure } from '../../codec/index.ts'
import { MurmurError } from '../../errors.ts'
import { type Job, rangeOf } from './job.ts'
import * as at from './layout.ts'
import { BLOCK, FLOAT_BYTES, GRAIN, type Layout, rowAt, SLOT_BYTES } from './layout.ts'
import { DISTANCE_BYTES, type Passes, passesModule } from './passes.ts'
import { createDecoder, type RowSource } from './rows.ts'
import { TRIM_BYTES, type TrimKernels, trimModule } from './trim.ts'
import { compile, instantiate, type SharedMemory } from './webassembly.ts'

/** Compiled modules kept: a peer needs one for each number of inputs that its rounds have. */
const MODULES = 16
/** Coordinates in a call: long runs of each row for the memory's sake, but a new module is only compiled well between calls. */
const CALL = GRAIN
const DISTANCE_FLOATS = DISTANCE_BYTES / FLOAT_BYTES
const FAILURES: readonly (DecodeFailure | undefined)[] = [undefined, 'wrong-length', 'not-finite', 'out-of-bounds']

export interface Performer {
  /** What `load` reads from now on. */
  use(sources: readonly RowSource[]): void
  perform(job: Job, part: number): void
}

/** Shared by the threads' instances, as is its optimised code. */
let passes: object | undefined

/** @param thread number of the thread, 0 to MOST_THREADS - 1 */
export function createPerformer(memory: SharedMemory, thread: number): Performer {
  passes ??= compile(passesModule())
  const kernels = instantiate(passes, memory) as unknown as Passes
  const decoder = createDecoder(memory, kernels, thread)
  const bytes = new Uint8Array(memory.buffer)
  const floats = new Float32Array(memory.buffer)
  const doubles = new Float64Array(memory.buffer)

  let sources: readonly RowSource[] = []
  /** Least recently used first. */
  const trims = new Map<string, TrimKernels>()

  function trimKernels(rows: number, trim: number, stride: number): TrimKernels {
    const key = `${rows} ${trim} ${stride}`
    const found = trims.get(key) ?? (instantiate(compile(trimModule(rows, trim, stride)), memory) as unknown as TrimKernels)
    trims.delete(key)
    trims.set(key, found)
    if (trims.size > MODULES) trims.delete(trims.keys().next().value!)
    return found
  }

  /** Where coordinates from `from` on of the rows, or of their mixes, begin. */
  function view({ layout, mixed }: Job, from: number, width: number): number {
    const base = rowAt(layout, 0) + from * FLOAT_BYTES
    if (mixed === 0) return base
    const target = at.mixedAt(thread)
    const even = mixed + (mixed & 1)
    kernels.mix(base, layout.stride, layout.rows, at.WEIGHTS_AT, target, at.MIXED_STRIDE, even, 64 * Math.ceil(width / 16))
    return target
  }

  function load({ layout, start }: Job, part: number, from: number, to: number): void {
    if (sources.length !== layout.rows)
      throw new MurmurError('internal', `${layout.rows} rows are to be read, from ${sources.length} sources.`)
    for (const [i, source] of sources.entries()) {
      const failure = decoder.load(source, start + from, to - from, rowAt(layout, i) + from * FLOAT_BYTES)
      bytes[failureAt(part, i)] = FAILURES.indexOf(failure)
    }
  }

  function combine({ layout }: Job, from: number, to: number): void {
    const out = rowAt(layout, layout.rows)
    for (let c = from; c < to; c += CALL) {
      const offset = c * FLOAT_BYTES
      const size = FLOAT_BYTES * 32 * Math.ceil(Math.min(CALL, to - c) / 32)
      kernels.weighted(rowAt(layout, 0) + offset, layout.stride, layout.rows, at.WEIGHTS_AT, out + offset, 0, 1, size)
    }
  }

  function trim(job: Job, part: number, from: number, to: number, cut: number, sampled: number): void {
    const out = rowAt(job.layout, job.layout.rows)
    const { count, stride } = shapeOf(job)
    const module = trimKernels(count, cut, stride)
    const shares = doubles.subarray(at.slotsAt(part) / 8, at.slotsAt(part) / 8 + count).fill(0)
    let wild = 0
    const call = job.mixed === 0 ? CALL : BLOCK
    for (let c = from; c < to; c += call) {
      const width = Math.min(call, to - c)
      const base = view(job, c, width)
      wild |= module.trim(base, TRIM_BYTES * Math.ceil((width * FLOAT_BYTES) / TRIM_BYTES), out + c * FLOAT_BYTES)
      for (let b = 0; b < width; b += BLOCK) {
        if (isSampled((job.start + c + b) / BLOCK, sampled))
          auditBlock(module, base + b * FLOAT_BYTES, Math.min(BLOCK, width - b), shares, part)
      }
    }
    bytes[at.WILD_AT + part] = wild
  }

  /** Adds what the rows have of the places of a block. The last vector's lanes past the row's end hold zeros, which do not count. */
  function auditBlock(module: TrimKernels, base: number, width: number, shares: Float64Array, part: number): void {
    const slots = at.slotsAt(part) + at.MOST_ROWS * 8
    const lanes = floats.subarray(slots / FLOAT_BYTES, slots / FLOAT_BYTES + 4 * shares.length)
    const add = (from: number, size: number, counted: number) => {
      lanes.fill(0)
      module.audit(base + from * FLOAT_BYTES, size, slots)
      for (let i = 0; i < shares.length; i++) for (let lane = 0; lane < counted; lane++) shares[i]! += lanes[4 * i + lane]!
    }
    const whole = width - (width % 4)
    if (whole > 0) add(0, whole * FLOAT_BYTES, 4)
    if (whole < width) add(whole, 16, width - whole)
  }

  function distances(job: Job, part: number, from: number, to: number): void {
    const { pass, layout, mixed } = job
    const slots = at.slotsAt(part)
    const { count, stride } = shapeOf(job)
    const columns = at.slotColumns(count)
    doubles.fill(0, slots / 8, (slots + SLOT_BYTES * columns * (count + 1)) / 8)
    const call = mixed === 0 && pass.kind === 'from' ? CALL : BLOCK
    for (let c = from; c < to; c += call) {
      const width = Math.min(call, to - c)
      const whole = width - (width % DISTANCE_FLOATS)
      const base = view(job, c, width)
      const rest = (a: number, b: number, slot: number) => {
        for (let k = whole; k < width; k++) doubles[slot / 8]! += (floats[a / 4 + k]! - floats[b / 4 + k]!) ** 2
      }
      if (pass.kind === 'from') {
        const center = centerOf(pass.center, base, stride, rowAt(layout, layout.rows) + c * FLOAT_BYTES)
        for (let i = 0; i < count; i++) {
          const [row, slot] = [base + i * stride, slots + SLOT_BYTES * i]
          if (pass.wide) kernels.squaresWide(row, center, whole * FLOAT_BYTES, slot)
          else if (i % 2 === 0) kernels.squares(row, stride, center, whole * FLOAT_BYTES, slot)
          rest(row, center, slot)
        }
      } else if (pass.kind === 'pairs') {
        if (!pass.wide && whole > 0) kernels.pairs(base, stride, count, whole * FLOAT_BYTES, slots, SLOT_BYTES * columns)
        if (!pass.wide && whole === width) continue
        for (let i = 1; i < count; i++) {
          for (let j = 0; j < i; j++) {
            const slot = slots + SLOT_BYTES * (i * columns + j)
            if (pass.wide) kernels.squaresWide(base + i * stride, base + j * stride, whole * FLOAT_BYTES, slot)
            rest(base + i * stride, base + j * stride, slot)
          }
        }
      }
    }
  }

  return {
    use(rows) {
      sources = rows
    },
    perform(job, part) {
      const { from, to } = rangeOf(job, part)
      const { pass } = job
      if (pass.kind === 'load') load(job, part, from, to)
      else if (pass.kind === 'combine') combine(job, from, to)
      else if (pass.kind === 'trim') trim(job, part, from, to, pass.trim, pass.sampled)
      else distances(job, part, from, to)
    },
  }
}

/** How many rows a job sees, and how far apart they are: the rows themselves, or their mixes. */
const shapeOf = ({ layout, mixed }: Job): { count: number; stride: number } =>
  mixed === 0 ? { count: layout.rows, stride: layout.stride } : { count: mixed, stride: at.MIXED_STRIDE }

const centerOf = (center: number | 'point' | 'zero', base: number, stride: number, point: number): number =>
  center === 'zero' ? at.ZEROS_AT : center === 'point' ? point : base + center * stride

const failureAt = (part: number, row: number): number => at.FAILURES_AT + part * at.MOST_ROWS + row

/** The first refusal of each row, by parts. */
export function failuresOf(memory: SharedMemory, { rows }: Layout, parts: number): (DecodeFailure | undefined)[] {
  const bytes = new Uint8Array(memory.buffer)
  return Array.from({ length: rows }, (_, row) => {
    for (let part = 0; part < parts; part++) {
      const failure = FAILURES[bytes[failureAt(part, row)]!]
      if (failure !== undefined) return failure
    }
    return undefined
  })
}

/** Whether a block is one of the `sampled` in 2^16: spread by a multiplication, so that no regular structure of a model is always met. */
function isSampled(block: number, sampled: number): boolean {
  return Math.imul(block, 0x9e3779b1) >>> 16 < sampled
}
