// Fills the tables of docs/robustness.md from the files of results, so that no number in them is typed by hand. What is between
// `<!-- KIND:NAME -->` and `<!-- /KIND:NAME -->` is replaced: an experiment's table, a sweep's, or the one of samples.
// Usage: node scripts/evidence/embed.ts [--sweep NAME=DIR ...], DIR being what `murmur lab sweep` wrote
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readIfPresent, writeDurable } from '../../node/store/files.ts'
import { claimsOf, FOLDER, type Results, readResults, tableOf } from './experiment.ts'
import { samplingTable } from './sampling.ts'

export const DOCUMENT = fileURLToPath(new URL('../../docs/robustness.md', import.meta.url))
const PLACE = /(<!-- ([a-z]+):([a-z-]+) -->\n)[\s\S]*?(<!-- \/\2:\3 -->)/g
const NOT_YET = '*Not run yet.*'

const sweepFile = (name: string): string => `${FOLDER}sweep-${name}.md`

/** The document with every place filled. */
export async function filled(document: string): Promise<string> {
  const texts = new Map<string, string>()
  for (const [, , kind, name] of document.matchAll(PLACE)) texts.set(`${kind}:${name}`, await textOf(kind!, name!))
  return document.replace(
    PLACE,
    (_, begin: string, kind: string, name: string, end: string) => `${begin}\n${texts.get(`${kind}:${name}`)}\n\n${end}`,
  )
}

async function textOf(kind: string, name: string): Promise<string> {
  if (kind === 'table' && name === 'samples') return samplingTable()
  if (kind === 'evidence') {
    const results = await readResults(name)
    return results === undefined ? NOT_YET : section(results)
  }
  if (kind !== 'sweep')
    throw new Error(`docs/robustness.md asks for ${kind}:${name}; known are evidence:NAME, sweep:NAME and table:samples.`)
  const table = await readIfPresent(sweepFile(name))
  return table === undefined ? NOT_YET : new TextDecoder().decode(table).trim()
}

function section(results: Results): string {
  const { source, differs, alike, command, seeds, cpuSeconds } = results
  const which = seeds.length === 1 ? `seed ${seeds[0]}` : `seeds ${seeds.join(', ')}`
  const claims = claimsOf(results)
  return [
    `Published: ${source}.`,
    `What differs: ${differs}`,
    `\`${command}\`, ${which}, ${Math.ceil(cpuSeconds / 60)} minutes of a core. "Same": ${alike}.`,
    ...(claims === '' ? [] : [claims]),
    tableOf(results),
  ].join('\n\n')
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { sweep: { type: 'string', multiple: true, default: [] } } })
  for (const given of values.sweep) {
    const [name = '', dir = ''] = given.split('=')
    await copyFile(join(dir, 'table.md'), sweepFile(name))
  }
  const document = await readFile(DOCUMENT, 'utf8')
  const next = await filled(document)
  if (next !== document) await writeDurable(DOCUMENT, new TextEncoder().encode(next))
  console.log(`${DOCUMENT}: ${next === document ? 'as it was' : 'filled anew'}`)
}
