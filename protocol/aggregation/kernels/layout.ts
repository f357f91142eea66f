// Where things lie in the kernels' memory. Rows are kept decoded, one stripe of coordinates at a time; where all fit there is one stripe.
import { MurmurError } from '../../errors.ts'

/** Rows at most: a full view and the own model are 37; a selection network for more outgrows the registers by far. */
export const MOST_ROWS = 64
/** Bytes of decoded rows at most: 20 models of 3.3 million parameters at once, and in 48 stripes 30 of 100 million. */
export const ROWS_BYTES = 256 * 1024 * 1024
/** Parts that a stripe is cut into at most, for threads to share; results do not depend on how many there are. */
export const MOST_PARTS = 16
export const MOST_THREADS = 4

/** Coordinates; stripes and parts are multiples of it, and so of int8's blocks and of everything that the kernels take at a time. */
export const GRAIN = 4096
/** Coordinates whose rows, mixed or compared, stay in the first cache: 30 rows of them are 30 KiB. */
export const BLOCK = 256
/** Coordinates decoded at a time. */
export const PIECE = 65_536

export const FLOAT_BYTES = 4
/** Rows a multiple of 4 KiB apart would all compete for the same few places of the cache. */
const STAGGER_BYTES = 1088

/** Two doubles a sum. */
export const SLOT_BYTES = 16
/** Pairs are summed four columns and two rows at a time. */
export const slotColumns = (rows: number): number => rows + 4
const PART_SLOTS_BYTES = SLOT_BYTES * (MOST_ROWS + 1) * slotColumns(MOST_ROWS)

/** For threads to share work; see the team. */
export const CONTROL_AT = 0
/** A byte a part and row: why the row is refused. */
export const FAILURES_AT = 1024
/** A byte a part: a mean was too large for a float. */
export const WILD_AT = FAILURES_AT + MOST_PARTS * MOST_ROWS
/** Floats: of a weighted sum, or of a mix, one row of them after the other; one row more, for they are taken in twos. */
export const WEIGHTS_AT = 4096
/** Zeros, a grain of them. */
export const ZEROS_AT = WEIGHTS_AT + FLOAT_BYTES * MOST_ROWS * (MOST_ROWS + 1)
const SLOTS_AT = ZEROS_AT + FLOAT_BYTES * GRAIN
export const slotsAt = (part: number): number => SLOTS_AT + part * PART_SLOTS_BYTES

const SCRATCH_AT = 64 * Math.ceil(slotsAt(MOST_PARTS) / 64)
export const MIXED_STRIDE = FLOAT_BYTES * BLOCK + 64
/** The last few rows are read, not used, where four or two are taken at a time. */
const MIXED_BYTES = MIXED_STRIDE * (MOST_ROWS + 4)
/** Encoded bytes, at most a float each, and zeros to fill up the last vector. */
const ENCODED_BYTES = FLOAT_BYTES * PIECE + 64
/** Memory of a thread's own. */
export const mixedAt = (thread: number): number => SCRATCH_AT + thread * (MIXED_BYTES + ENCODED_BYTES)
export const encodedAt = (thread: number): number => mixedAt(thread) + MIXED_BYTES

const ROWS_AT = 4096 * Math.ceil(mixedAt(MOST_THREADS) / 4096)

export interface Layout {
  rows: number
  /** Coordinates of a row, and those of them that are in memory at a time. */
  length: number
  stripe: number
  /** Bytes from one row to the next. */
  stride: number
}

/** Rows that there must be room for: one for results, and three that are read, not used, where four are taken at a time. */
const placesFor = (rows: number): number => rows + 4

/** @param budget bytes for rows @throws limit-exceeded */
export function layoutOf(rows: number, length: number, budget: number): Layout {
  if (rows > MOST_ROWS) {
    throw new MurmurError('limit-exceeded', `${rows} models cannot be aggregated at once; at most ${MOST_ROWS} can, so sample fewer peers.`)
  }
  const fit = Math.floor(budget / (FLOAT_BYTES * placesFor(rows)) / GRAIN)
  const stripe = GRAIN * Math.max(1, Math.min(fit, Math.ceil(length / GRAIN)))
  return { rows, length, stripe, stride: FLOAT_BYTES * stripe + STAGGER_BYTES }
}

/** Bytes of memory that are enough for every layout with this budget. Where nothing was written they take no room. */
export const memoryBytes = (budget: number): number =>
  ROWS_AT + Math.max(budget, FLOAT_BYTES * GRAIN * placesFor(MOST_ROWS)) + STAGGER_BYTES * placesFor(MOST_ROWS)

/** The row after the last is for results, and for points that distances are from. */
export const rowAt = ({ stride }: Pick<Layout, 'stride'>, row: number): number => ROWS_AT + row * stride
