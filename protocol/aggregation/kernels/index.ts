// The matrix in float32: its passes are WebAssembly kernels over shared memory, cut into parts for as many threads as there are.
// Rows stay encoded where they are and are decoded stripe by stripe; where all fit into memory at once, only once.
//
// How exact, against `plain.ts`, for n rows:
// - weighted sums: n x 2^-23 x the sum of |weight x value|; means: n x 2^-23 x the largest value kept in the coordinate
// - squared distances: relative 2^-17, and absolute 2^-120 a coordinate; of mixed rows also what the mixing rounds off. Rows that are
//   equal have equal distances; which of two is nearer may differ where float64 tells them apart by less.
// - shares of places: exact up to AUDITED coordinates; of more, of a sample of so many

export { type Job, partsOf } from './job.ts'
export { createKernels, type KernelMatrix, type Kernels, solo, type Team } from './kernels.ts'
export { CONTROL_AT, MOST_ROWS, MOST_THREADS } from './layout.ts'
export { AUDITED } from './matrix.ts'
export { createPerformer, type Performer } from './performer.ts'
export { bytesSource, floatsSource, type RowSource } from './rows.ts'
export type { SharedMemory } from './webassembly.ts'
