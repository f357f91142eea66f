// A grid file: YAML that is read, checked and made into cells. A typo is one sentence with its line.
import { readFile } from 'node:fs/promises'
import { isSeq, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { isMurmurError, MurmurError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { parseLabOptions } from '../run/options.ts'
import { labOptions } from '../run/schema.ts'
import { cellsOf } from './cells.ts'
import { mistake, type Path, type Source, schemaMistake, unknownName, wrongValue } from './mistakes.ts'
import type { Axis, Layout, Plan, Scalar, ValueName } from './types.ts'
import { VALUES } from './types.ts'

/** Cells of a grid: at a few seconds each, a week of them. */
const MOST_CELLS = 100_000
const OPTIONS = Object.keys(labOptions.shape)

const scalar = z.union([z.string(), z.number(), z.boolean()], { error: 'must be one value; lists go under "grid"' })
const axis = z.union([scalar.transform((value) => [value]), z.array(scalar).min(1, 'must be a list of at least one value')], {
  error: 'must be a value or a list of at least one',
})
const keys = z.union([z.string().transform((key) => [key]), z.array(z.string())], { error: 'must be an option or a list of them' })

const gridFile = z.strictObject(
  {
    name: z
      .string({ error: 'must be there, as a text' })
      .regex(/^[a-z0-9][a-z0-9._-]{0,99}$/i, 'must be of letters, digits, dots and dashes, at most 100: it names a folder'),
    options: z.record(z.string(), scalar).default({}),
    grid: z.record(z.string(), axis, { error: 'must be there, with options and the values that they take' }),
    seeds: z
      .array(z.int({ error: 'must be a whole number' }).min(0, 'must be at least 0'), { error: 'must be a list of whole numbers' })
      .min(1, 'must be a list of at least one')
      .optional(),
    table: z
      .strictObject({
        rows: z.string().default('rule'),
        columns: z.string().default('attack'),
        sheets: keys.optional(),
        value: z.enum(Object.keys(VALUES) as [ValueName, ...ValueName[]]).default('final.accuracy.mean'),
      })
      .prefault({}),
  },
  { error: 'must hold "key: value" lines' },
)
const KEYS = { '': Object.keys(gridFile.shape), table: ['rows', 'columns', 'sheets', 'value'] }

/** @throws bad-config */
export async function readGrid(file: string): Promise<Plan> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    throw new MurmurError(
      'bad-config',
      `${file} ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${message})`}; give a grid file.`,
      {
        cause,
      },
    )
  }
  return parseGrid(text, file)
}

/** @param file for errors @throws bad-config */
export function parseGrid(text: string, file: string): Plan {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const source: Source = { file, document, lines }
  const broken = document.errors[0]
  if (broken !== undefined) {
    const at = broken.linePos?.[0].line ?? '?'
    throw new MurmurError(
      'bad-config',
      `${file} line ${at}: this is not YAML: ${broken.message.split('\n')[0]!.replace(/ at line \d+.*/, '')}.`,
    )
  }
  const parsed = gridFile.safeParse(valuesOf(source))
  if (!parsed.success) throw schemaMistake(source, parsed.error.issues, (path) => KEYS[path.join('.') as keyof typeof KEYS] ?? [])
  const { name, options: fixed, grid, table } = parsed.data

  for (const [key, value] of Object.entries(fixed)) checkValue(source, ['options', key], key, value)
  const axes = Object.entries(grid).map(([key, values]) => axisOf(source, key, values))
  for (const { key } of axes) {
    if (Object.hasOwn(fixed, key)) throw mistake(source, ['grid', key], `"${key}" stands under "options" as well; keep one of the two.`)
  }
  const hasSeed = Object.hasOwn(fixed, 'seed') || axes.some(({ key }) => key === 'seed')
  if (hasSeed && parsed.data.seeds !== undefined) {
    throw mistake(source, ['seeds'], '"seed" is an option as well; keep one of the two.')
  }
  // One that an option names stands in its place.
  const seeds = parsed.data.seeds ?? [labOptions.shape.seed.parse(undefined)]
  const layout = layoutOf(source, table, axes)
  const count = axes.reduce((product, { values }) => product * values.length, seeds.length)
  if (count > MOST_CELLS) throw mistake(source, ['grid'], `this makes ${count} cells; at most ${MOST_CELLS} are allowed.`)
  return { name, fixed, axes, seeds, layout, cells: cellsOf(fixed, axes, seeds) }
}

function valuesOf(source: Source): unknown {
  try {
    return source.document.toJS()
  } catch (cause) {
    throw mistake(source, [], `an alias leads nowhere, or to far too much: ${(cause as Error).message}.`)
  }
}

function axisOf(source: Source, key: string, values: readonly Scalar[]): Axis {
  const isList = isSeq(source.document.getIn(['grid', key], true))
  for (const [i, value] of values.entries()) {
    const path = ['grid', key, ...(isList ? [i] : [])]
    checkValue(source, path, key, value)
    if (values.indexOf(value) < i) throw mistake(source, path, `"${value}" is in the list of "${key}" twice.`)
  }
  return { key, values }
}

/** @throws bad-config for an option that there is not, or a value that it cannot have whatever the others are */
function checkValue(source: Source, path: Path, key: string, value: Scalar): void {
  if (!OPTIONS.includes(key)) throw mistake(source, path, unknownName(key, OPTIONS, 'option'))
  try {
    // Enough peers for any number of attackers, and an attacker for any attack.
    parseLabOptions({ peers: LIMITS.members, byzantine: 1, [key]: value })
  } catch (error) {
    if (isMurmurError(error)) throw mistake(source, path, wrongValue(value, error.message))
    throw error
  }
}

/** Axes that the table does not name become its sheets. */
function layoutOf(source: Source, { rows, columns, sheets, value }: z.output<typeof gridFile>['table'], axes: readonly Axis[]): Layout {
  const rest = axes.map(({ key }) => key).filter((key) => key !== rows && key !== columns)
  for (const [place, named] of Object.entries({ rows: [rows], columns: [columns], sheets: sheets ?? [] })) {
    const wrong = named.find((key) => !OPTIONS.includes(key))
    if (wrong !== undefined) throw mistake(source, ['table', place], unknownName(wrong, OPTIONS, 'option'))
  }
  if (rows === columns) throw mistake(source, ['table', 'columns'], `"${rows}" cannot be the rows and the columns.`)
  const left = sheets === undefined ? undefined : rest.find((key) => !sheets.includes(key))
  if (left !== undefined) throw mistake(source, ['table', 'sheets'], `"${left}" varies in the grid; name it in the table, too.`)
  return { rows, columns, sheets: sheets?.filter((key) => key !== rows && key !== columns) ?? rest, value }
}
