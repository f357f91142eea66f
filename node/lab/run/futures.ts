// Real work in virtual time. It begins at once and runs beside other work; what came of it is told after a fixed virtual time, in which time
// stands still for as long as the work then still takes. So its outcome comes at the same place in the order of things, however busy the machine is.
import { MurmurError } from '../../../protocol/errors.ts'
import type { VirtualClock } from '../virtual-clock.ts'

/** @param signal once aborted, the outcome is `cancelled` whatever came of the work */
export type InVirtualTime = <T>(millis: number, work: Promise<T>, signal?: AbortSignal) => Promise<T>

export const inVirtualTime =
  (clock: VirtualClock): InVirtualTime =>
  (millis, work, signal) => {
    work.catch(() => {})
    return new Promise((resolve, reject) => {
      clock.after(millis, () => {
        if (signal?.aborted) reject(new MurmurError('cancelled', 'The work was stopped on request.'))
        else clock.hold(work).then(resolve, reject)
      })
    })
  }
