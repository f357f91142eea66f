// Which samples of large data are whose, and in which order they come: decided in blocks of neighbours, so that a disk reads well, and by
// seed and position alone, so that peers cut alike and a restart goes on anywhere.
import { MurmurError } from '../../protocol/errors.ts'
import { createPrng } from '../../protocol/prng.ts'
import { iidPartition } from './partition.ts'
import { allRows } from './rows.ts'

/** Samples from `begin` up to `end`. */
export interface Piece {
  begin: number
  end: number
}

export interface PlanOptions {
  /** Blocks are dealt out evenly to `of` peers by `seed`; this one takes `part`. */
  part: number
  of: number
  seed: number | string
  /** Share of the samples kept for validation, below 1, and how many at most. */
  validation: number
  mostValidation: number
  /** Seeds what validates, and the order of a pass. */
  splitSeed: number | string
}

export interface StreamPlan {
  /** To train on, in a pass. */
  samples: number
  validationSamples: number
  validation: Piece[]
  /** `count` samples of a pass from its sample `first` on. */
  window(pass: number, first: number, count: number, shuffle: boolean): Generator<Piece>
}

/** Bytes of a block: a disk reads it as fast as anything larger. */
const BLOCK_BYTES = 1024 * 1024
/** Blocks that there are at least, so that parts are even and passes well mixed. */
const MIN_BLOCKS = 256

/** Blocks depend on the data alone: peers with other memory cut it alike. @param bytes of a sample @throws data-invalid */
export function planStream(samples: number, bytes: number, options: PlanOptions): StreamPlan {
  const { part, of, seed, splitSeed } = options
  const blockSamples = Math.max(1, Math.min(Math.floor(BLOCK_BYTES / bytes), Math.floor(samples / MIN_BLOCKS)))
  const blocks = Math.ceil(samples / blockSamples)
  const own = of === 1 ? allRows(blocks) : iidPartition(blocks, of, `${seed} blocks`)[part]!
  const blockOf = (block: number): Piece => ({ begin: block * blockSamples, end: Math.min(samples, (block + 1) * blockSamples) })
  const total = own.reduce((sum, block) => sum + sizeOf(blockOf(block)), 0)
  if (total < 2) throw new MurmurError('data-invalid', `The data has ${total} samples for this peer; at least 2 are needed.`)
  const most = Math.min(total - 1, options.mostValidation)
  const kept = options.validation === 0 ? 0 : Math.min(Math.max(1, Math.round(total * options.validation)), most)

  // A run of neighbours in each block: read alone, and not alike to what is trained on, as single samples between them would be.
  const validation: Piece[] = []
  const trained: Piece[][] = []
  let seen = 0
  for (const block of own) {
    const { begin, end } = blockOf(block)
    const upTo = (count: number) => Math.floor((count * kept) / total)
    const count = upTo(seen + end - begin) - upTo(seen)
    seen += end - begin
    const from = begin + (count === 0 ? 0 : createPrng(`${splitSeed} validation ${block}`).int(end - begin - count + 1))
    if (count > 0) validation.push({ begin: from, end: from + count })
    trained.push([
      { begin, end: from },
      { begin: from + count, end },
    ])
  }

  return {
    samples: total - kept,
    validationSamples: kept,
    validation,
    *window(pass, first, count, shuffle) {
      const order = Int32Array.from(own.keys())
      if (shuffle) createPrng(`${splitSeed} pass ${pass}`).shuffle(order)
      let at = 0
      for (const index of order) {
        for (const piece of trained[index]!) {
          const begin = piece.begin + Math.max(0, first - at)
          const end = Math.min(piece.end, piece.begin + first + count - at)
          if (begin < end) yield { begin, end }
          at += sizeOf(piece)
          if (at >= first + count) return
        }
      }
    },
  }
}

const sizeOf = ({ begin, end }: Piece): number => end - begin
