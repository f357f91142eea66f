// Gives back memory that a start has taken and needs no more: the code that was compiled on the way, data of which only a part is used.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** V8 looks for garbage when more memory is asked for: in a process that goes on to wait, it would stay for hours. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  setFlagsFromString('--no-expose-gc')
}
