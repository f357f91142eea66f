// Signatures checked in Node's pool of threads, and told in the order they came. The pool also serves the disk: it is given a few at a time.
import type { Proof } from '../../protocol/envelope.ts'

/** Checks in the pool at a time: enough to keep its threads at work until this one looks again; a file waits a millisecond behind them. */
const IN_POOL = 16
/** Checks under way or waiting. Beyond it this thread does one itself: nothing piles up, and meanwhile no more is read from anyone. */
const MOST = 256

interface Job {
  proof: Proof
  isSigned?: boolean
  tell(isSigned: boolean): void
}

/** @param verify checks here and now @param verifyInPool checks in the pool; never rejects */
export function createVerifyPool(
  verify: (...proof: Proof) => boolean,
  verifyInPool: (...proof: Proof) => Promise<boolean>,
): (...proof: Proof) => Promise<boolean> {
  /** In the order they came, until they are told: a record must not be overtaken by its author's next one. */
  const jobs: Job[] = []
  /** How many of them have been begun, the first ones, and how many of those are in the pool. */
  let begun = 0
  let inPool = 0

  function proceed(): void {
    while (jobs[0]?.isSigned !== undefined) {
      const { tell, isSigned } = jobs.shift()!
      begun--
      tell(isSigned!)
    }
    while (inPool < IN_POOL && begun < jobs.length) void check(jobs[begun++]!)
  }

  async function check(job: Job): Promise<void> {
    inPool++
    job.isSigned = await verifyInPool(...job.proof)
    inPool--
    proceed()
  }

  return (...proof) => {
    const { promise, resolve: tell } = Promise.withResolvers<boolean>()
    jobs.push({ proof, tell })
    const next = jobs.length > MOST ? jobs[begun] : undefined
    if (next !== undefined) {
      begun++
      next.isSigned = verify(...next.proof)
    }
    proceed()
    return promise
  }
}
