// Makes the table that tabular.yaml sweeps over: 12,000 made-up patients with 3 categories and 10 measurements each, and whether they are ill.
// Usage: node scripts/evidence/grids/tabular-data.ts [FILE]
import { dirname } from 'node:path'
import { makeDirectory } from '../../../node/peer/directory.ts'
import { writeDurable } from '../../../node/store/files.ts'
import { createPrng } from '../../../protocol/prng.ts'

const SEED = 'tabular evidence'
const ROWS = 12_000
/** As the built-in model `tabular` has them. */
const CATEGORIES = [8, 12, 5]
const NUMBERS = 10
/** How much the squares of measurements count beside the measurements, and the standard deviation of chance. */
const [CURVED, NOISE] = [0.5, 1]

const prng = createPrng(SEED)
const normals = (count: number) => Array.from({ length: count }, () => prng.normal())
const effects = CATEGORIES.map(normals)
const slopes = normals(NUMBERS)
const curves = normals(NUMBERS)

function patient(): string {
  const codes = CATEGORIES.map((size) => prng.int(size))
  const numbers = normals(NUMBERS)
  const base = codes.reduce((sum, code, c) => sum + effects[c]![code]!, NOISE * prng.normal())
  const score = numbers.reduce((sum, x, i) => sum + slopes[i]! * x + CURVED * curves[i]! * (x * x - 1), base)
  return [...codes, ...numbers.map((x) => x.toFixed(4)), score > 0 ? 1 : 0].join(',')
}

const columns = [...CATEGORIES.map((_, c) => `category${c + 1}`), ...slopes.map((_, i) => `measure${i + 1}`), 'label']
const lines = [columns.join(','), ...Array.from({ length: ROWS }, patient)]
const file = process.argv[2] ?? 'murmur-lab/tabular.csv'
await makeDirectory(dirname(file))
await writeDurable(file, new TextEncoder().encode(`${lines.join('\n')}\n`))
console.log(`${file}: ${ROWS} rows`)
