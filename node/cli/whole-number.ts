// A flag's whole number, from a least one on.
import { InvalidArgumentError } from 'commander'

/** For commander. @throws InvalidArgumentError, which it tells with the flag's name */
export const wholeNumberFrom =
  (least: number) =>
  (text: string): number => {
    if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text)
    throw new InvalidArgumentError(`Give a whole number from ${least}.`)
  }
