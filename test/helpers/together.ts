// Test files of a folder in one process: most take longer to load than to run.
import { globSync } from 'node:fs'

export async function together(folder: string): Promise<void> {
  const cwd = new URL(`../${folder}/`, import.meta.url)
  for (const file of globSync('*.test.ts', { cwd }).sort()) await import(new URL(file, cwd).href)
}
