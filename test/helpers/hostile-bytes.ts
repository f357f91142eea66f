// Hostile bytes for fuzzing: random ones, and well-formed ones that were changed, cut, stretched, or made to promise what is not there.
import fc from 'fast-check'

/** A varint that says: a great many more bytes than there are. */
export const HUGE = [
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x80, 0x80, 0x80, 0x80, 0x00],
]

export type Change =
  | { how: 'flip'; at: number; bit: number }
  | { how: 'cut'; at: number }
  | { how: 'insert' | 'overwrite'; at: number; bytes: Uint8Array }
  | { how: 'repeat'; at: number; length: number }

const anything = fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...HUGE.map((bytes) => Uint8Array.from(bytes))))
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ how: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat({ max: 7 }) }),
  fc.record({ how: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({ how: fc.constantFrom('insert' as const, 'overwrite' as const), at: fc.nat(), bytes: anything }),
  fc.record({ how: fc.constant('repeat' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 200 }) }),
)

export function changed(bytes: Uint8Array, changes: readonly Change[]): Uint8Array {
  let now: number[] = [...bytes]
  for (const one of changes) {
    const at = one.at % (now.length + 1)
    if (one.how === 'flip') now[at] = (now[at] ?? 0) ^ (1 << one.bit)
    else if (one.how === 'cut') now = now.slice(0, at)
    else if (one.how === 'repeat') now.splice(at, 0, ...now.slice(at, at + one.length))
    else now.splice(at, one.how === 'overwrite' ? one.bytes.length : 0, ...one.bytes)
  }
  return Uint8Array.from(now)
}

export const hostile = (valid: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 600 }) },
    {
      weight: 6,
      arbitrary: fc
        .tuple(fc.constantFrom(...valid), fc.array(change, { minLength: 1, maxLength: 4 }))
        .map(([bytes, changes]) => changed(bytes, changes)),
    },
  )
