// What a run of the lab leaves behind: rounds.csv for spreadsheets, result.json for programs, plot.html for people.
import { join } from 'node:path'
import { makeDirectory } from '../../peer/directory.ts'
import { writeDurable } from '../../store/files.ts'
import type { LabResult } from '../run/types.ts'
import { csv } from './csv.ts'
import { plot } from './plot.ts'

/** Each file is replaced whole. @returns the paths @throws disk-failed */
export async function writeReport(dir: string, result: LabResult): Promise<string[]> {
  return await writeTexts(dir, {
    'rounds.csv': csv(result.rounds),
    'result.json': `${JSON.stringify(result, undefined, 1)}\n`,
    'plot.html': plot(result),
  })
}

/** @throws disk-failed */
export async function writeTexts(dir: string, files: Record<string, string>): Promise<string[]> {
  await makeDirectory(dir)
  const paths: string[] = []
  for (const [name, text] of Object.entries(files)) {
    const path = join(dir, name)
    await writeDurable(path, new TextEncoder().encode(text))
    paths.push(path)
  }
  return paths
}
