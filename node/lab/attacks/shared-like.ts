// Memory for samples that an attack has changed.
import type { DataSet } from '../../data/spec.ts'

/** Room of the same type and size, in memory that worker threads share. */
export function sharedLike<Values extends DataSet['x'] | DataSet['y']>(values: Values): Values {
  const Type = values.constructor as new (memory: SharedArrayBuffer) => Values
  return new Type(new SharedArrayBuffer(values.byteLength))
}
