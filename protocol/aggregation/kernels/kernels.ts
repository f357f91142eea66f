// The kernels with their memory, and whoever does the work: opens matrices of encoded rows, one at a time.
import { codecOf, type DecodeFailure } from '../../codec/index.ts'
import type { Matrix } from '../matrix.ts'
import { type Job, type Pass, partsOf } from './job.ts'
import { layoutOf, memoryBytes, ROWS_BYTES } from './layout.ts'
import { matrixOf } from './matrix.ts'
import { createPerformer, failuresOf, type Performer } from './performer.ts'
import type { RowSource } from './rows.ts'
import { type SharedMemory, sharedMemory } from './webassembly.ts'

/** Who does the work: one thread or several. */
export interface Team<Source extends RowSource> {
  /** From now on jobs are about these rows in this memory. */
  use(memory: SharedMemory, sources: readonly Source[]): void
  /** Performs every part of a job; returns when all are done. */
  run(job: Job): void
}

/** This thread alone. */
export function solo(): Team<RowSource> {
  let used: SharedMemory | undefined
  let performer: Performer
  return {
    use(memory, sources) {
      if (memory !== used) performer = createPerformer(memory, 0)
      used = memory
      performer.use(sources)
    },
    run(job) {
      for (let part = 0; part < partsOf(job); part++) performer.perform(job, part)
    },
  }
}

export interface Kernels<Source extends RowSource> {
  /**
   * A matrix of these rows, of `length` coordinates each. Memory holds one matrix; to go back to another, its rows are decoded again.
   * @throws limit-exceeded for more than MOST_ROWS
   */
  open(sources: readonly Source[], length: number): KernelMatrix
  /** Lets go of the sources. */
  close(): void
}

export interface KernelMatrix extends Matrix {
  /** Reads all rows once; why each is refused, or undefined. Unless all pass, the matrix is of no use. */
  gate(): (DecodeFailure | undefined)[]
}

/** @param budget bytes of decoded rows in memory at a time */
export function createKernels<Source extends RowSource>(team: Team<Source>, budget = ROWS_BYTES): Kernels<Source> {
  let memory: SharedMemory | undefined
  let opened: object | undefined

  return {
    close() {
      opened = undefined
      if (memory !== undefined) team.use(memory, [])
    },
    open(sources, length) {
      const layout = layoutOf(sources.length, length, budget)
      const self = {}
      /** First coordinate of the stripe in memory. */
      let loaded: number | undefined

      function run(pass: Pass, mixed: number, start: number, width: number): Job {
        const job: Job = { pass, layout, mixed, start, width }
        team.run(job)
        return job
      }

      /** The memory, with the stripe that begins at `start` in it; and what was refused of it, where it was not there yet. */
      function load(start: number): { memory: SharedMemory; failures: (DecodeFailure | undefined)[] } {
        memory ??= sharedMemory(memoryBytes(budget))
        if (opened !== self) {
          team.use(memory, sources)
          opened = self
          loaded = undefined
        }
        if (loaded === start) return { memory, failures: [] }
        loaded = undefined
        const job = run({ kind: 'load' }, 0, start, Math.min(layout.stripe, length - start))
        loaded = start
        return { memory, failures: failuresOf(memory, layout, partsOf(job)) }
      }

      function forEachStripe(limit: number, use: (memory: SharedMemory, start: number, width: number) => void): void {
        for (let start = 0; start < limit; start += layout.stripe) use(load(start).memory, start, Math.min(layout.stripe, limit - start))
      }

      return {
        ...matrixOf({ layout, run, forEachStripe }, undefined, sources.length),
        gate() {
          const refused = sources.map((source) => (hasLength(source, length) ? undefined : 'wrong-length'))
          if (refused.some(Boolean)) return refused
          const failures = new Array<DecodeFailure | undefined>(sources.length).fill(undefined)
          for (let start = 0; start < length; start += layout.stripe) {
            for (const [i, failure] of load(start).failures.entries()) failures[i] ??= failure
          }
          return failures
        },
      }
    },
  }
}

const hasLength = ({ codec, size }: RowSource, length: number): boolean => size === codecOf(codec).encodedLength(length)
