// Whether samples of one shape can be fed to a model that takes another.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'

export const shapeText = (shape: readonly (number | null)[]): string => shape.map((dim) => dim ?? '?').join('x') || 'single values'

/** Shapes of the same size lie in memory alike (28x28, 1x28x28, 784), unless one has the other's dimensions in another order. */
export function lieAlike(a: readonly number[], b: readonly number[]): boolean {
  if (sizeOf(a) !== sizeOf(b)) return false
  const [x, y] = [a, b].map((shape) => shape.filter((dim) => dim !== 1))
  const sorted = (dims: readonly number[] = []) => [...dims].sort((p, q) => p - q).join()
  return sorted(x) !== sorted(y) || x!.join() === y!.join()
}

/** @param needed by whom and what, as "the task takes 3x32x32" @throws data-invalid */
export function checkShape(found: readonly number[], wanted: readonly number[], from: string, needed: string): void {
  if (lieAlike(found, wanted)) return
  const hint = sizeOf(found) === sizeOf(wanted) ? ': transpose them' : ''
  throw new MurmurError('data-invalid', `${from} holds samples of ${shapeText(found)}, but ${needed}${hint}.`)
}

/** The model's shape of a sample with its open dimensions filled in from the data. @throws data-invalid where that is impossible */
export function fitShape(model: readonly (number | null)[], found: readonly number[], from: string): number[] {
  const needed = `the model takes ${shapeText(model)}`
  if (model.length === found.length && model.every((dim, i) => dim === null || dim === found[i])) return [...found]
  const open = model.filter((dim) => dim === null).length
  const rest = sizeOf(found) / sizeOf(model.map((dim) => dim ?? 1))
  if (open > 1 || (open === 1 && !Number.isInteger(rest))) {
    throw new MurmurError('data-invalid', `${from} holds samples of ${shapeText(found)}, but ${needed}.`)
  }
  const shape = model.map((dim) => dim ?? rest)
  checkShape(found, shape, from, needed)
  return shape
}
