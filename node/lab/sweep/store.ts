// The cells of a sweep on disk: DIR/cells/<hash>.json each, written whole when the cell has ended. What is there need not run again.
import { join } from 'node:path'
import { makeDirectory } from '../../peer/directory.ts'
import { readIfPresent, sweepTemporary, writeDurable } from '../../store/files.ts'
import type { LabOptions } from '../run/types.ts'
import type { Cell, Outcome } from './types.ts'

/** Of the file's form. */
const VERSION = 1

type CellFile = { version: typeof VERSION; options: LabOptions } & Outcome

export interface CellStore {
  /** What became of a cell in this or an earlier run. @throws disk-failed */
  read(cell: Cell): Promise<Outcome | undefined>
  /** On disk when the promise resolves. @throws disk-failed */
  write(cell: Cell, outcome: Outcome): Promise<void>
}

/** Only while the directory's lock is held. @throws disk-failed */
export async function openCells(dir: string): Promise<CellStore> {
  const folder = await makeDirectory(join(dir, 'cells'))
  await sweepTemporary(folder)
  const path = (cell: Cell) => join(folder, `${cell.id}.json`)
  return {
    async read(cell) {
      const bytes = await readIfPresent(path(cell))
      return bytes && outcomeOf(new TextDecoder().decode(bytes))
    },
    async write(cell, outcome) {
      const file: CellFile = { version: VERSION, options: cell.options, ...outcome }
      await writeDurable(path(cell), new TextEncoder().encode(`${JSON.stringify(file)}\n`))
    },
  }
}

/** A file that is not of this form, which no run leaves behind, counts as none: its cell runs again. */
function outcomeOf(text: string): Outcome | undefined {
  try {
    const { version, options: _, ...outcome } = JSON.parse(text) as CellFile
    const whole = outcome.state === 'done' ? outcome.result.version === 1 : typeof outcome.why === 'string'
    return version === VERSION && whole ? outcome : undefined
  } catch {
    return undefined
  }
}
