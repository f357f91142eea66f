import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openTable } from '../../node/data/duckdb.ts'
import { loadData, proposeSchema } from '../../node/data/load.ts'
import type { DataSchema, Selection } from '../../node/data/spec.ts'
import { CSV, model, options, use } from './table-file.ts'

t.test('a table that does not fit what was agreed is refused with column, row and value', async (t) => {
  const dir = t.testdir({ 'founder.csv': CSV })
  const schema = await proposeSchema(join(dir, 'founder.csv'), {}, model)
  const path = join(dir, 'peer.csv')
  const refused = async (text: string, message: string, against: DataSchema = schema) => {
    await writeFile(path, text)
    await t.rejects(loadData(path, against, options), { code: 'data-invalid', message })
  }
  const head = 'age,color,smokes,label\n20,red,true,well\n'
  await refused(`${head}x,red,true,ill\n`, `Column "age" of ${path} holds "x" in row 2, which is not a finite number.`)
  await refused(`${head}nan,red,true,ill\n`, 'holds "nan" in row 2, which is not a finite number.')
  await refused(`${head}1e40,red,true,ill\n`, 'holds "1e40" in row 2, which is not a finite number.')
  await refused(`${head},red,true,ill\n`, `Column "age" of ${path} has no value in row 2; fill it, or leave the row out.`)
  await refused(`${head}1,mauve,true,ill\n`, 'holds "mauve" in row 2, which is not one of the task\'s 2 categories (blue, red).')
  await refused(`${head}1,,true,ill\n`, `Column "color" of ${path} has no value in row 2`)
  await refused(`${head}1,red,true,dead\n`, 'holds "dead" in row 2, which is not one of the task\'s classes (ill, well).')
  await refused(`${head}1,red,true,\n`, `Column "label" of ${path} has no value in row 2`)
  await refused('age,colour,smokes,label\n20,red,true,well\n', `${path} has no column color; it has age, colour, smokes, label.`)
  await refused('age\n20\n', `${path} has no columns color, smokes, label; it has age.`)
  await refused('age,color,smokes,label\n', `${path} has columns but no rows.`)
  await refused('', `${path} is empty.`)
  const long = `${head}${'20,red,true,well\n'.repeat(5000)}`
  await refused(`${long}x,red,true,ill\n`, 'holds "x" in row 5002')
  const ids = { ...schema, target: { kind: 'class', size: 2, shape: [] } } satisfies DataSchema
  await refused('age,color,smokes,label\n20,red,true,2\n', 'holds "2" in row 1, which is not a class from 0 to 1.', ids)
  const { columns: _, ...without } = schema
  await refused(head, 'is a table, but the task agreed on no columns', without)
})

t.test('a table that cannot be founded on is refused with column, row and value', async (t) => {
  const path = join(t.testdir(), 'a.csv')
  const refused = async (text: string, message: string, selection: Selection = {}) => {
    await writeFile(path, text)
    await t.rejects(proposeSchema(path, selection, model), { code: 'data-invalid', message })
  }
  await refused('', `${path} is empty.`)
  await refused('\n\n', `${path} is empty.`)
  await refused('a,y\n', `${path} has columns but no rows.`)
  await refused('a,y\n1,0\n,1\n', `Column "a" of ${path} has no value in row 2; fill it, or leave the row out.`)
  await refused('a,y\n1,0\ninf,1\n', `Column "a" of ${path} holds "inf" in row 2, which is not a finite number.`)
  await refused('y\n1\n', `${path} has no column but the label, and a model needs an input.`)
  await refused('a,b,A,y\n1,2,3,0\n', `${path} has two columns "A" in its first line, which must name each column once.`)
  await refused('a\u0007,y\n1,0\n', `${path} has a column "a " with control characters in its name; rename it.`)
  await refused(`${'a'.repeat(300)},y\n1,0\n`, `${path} cannot be agreed on: columns.0.name`)
  const many = (value: (i: number) => unknown) => `a,y\n${Array.from({ length: 70_000 }, (_, i) => `${value(i)},0\n`).join('')}`
  await refused(
    many((i) => (i === 4321 ? 'n/a' : i)),
    `Column "a" of ${path} holds "n/a" in row 4322, which is not a number like most others in that column.`,
  )
  await refused(
    many((i) => `id ${i}`),
    `Column "a" of ${path} holds more than 65536 different texts, too many for categories; leave it out with --input.`,
  )
  await writeFile(path, `a,y\n${Array.from({ length: 60_000 }, (_, i) => `id ${i},0\n`).join('')}`)
  await t.rejects(proposeSchema(path, {}, model), { code: 'limit-exceeded', message: 'use fewer columns' })
})

t.test('a file that is no table is refused in one sentence, with the line', async (t) => {
  const dir = t.testdir()
  const refused = async (name: string, bytes: string | Buffer, message: string) => {
    const path = join(dir, name)
    await writeFile(path, bytes)
    await t.rejects(proposeSchema(path, {}, model), { code: 'data-invalid', message: new RegExp(`^${path}.*${message}.*[.]$`) })
  }
  await refused('short.csv', 'a,b,y\n1,2,3\n4,5\n', 'CSV Error on Line: 3; Original Line: 4,5; Expected Number of Columns: 3 Found: 2')
  await refused('long.csv', 'a,b,y\n1,2,3\n4,5,6,7\n', 'Expected Number of Columns: 3 Found: 4')
  await refused('open.csv', 'a,b,y\n1,"2,3\n4,5,6\n', 'unterminated quote')
  await refused('latin.csv', Buffer.from('a,y\ncaf\xe9,1\n', 'latin1'), 'not utf-8')
  await refused('torn.csv.gz', 'a,y\n1,2\n', 'cannot be unpacked')
  await refused('half.jsonl', '{"a": 1, "y": 0}\n{"a": ', 'Malformed JSON in file it, at byte')
  await refused('list.jsonl', '[1, 2]\n', 'expected records')
  await refused('empty.jsonl', '', 'is empty')
  await refused('empty.parquet', '', 'is empty')
  await refused('text.parquet', 'this is no parquet file at all', 'magic bytes')
  await writeFile(join(dir, 'nested.jsonl'), '{"a": [1, 2], "y": 0}\n')
  await t.rejects(proposeSchema(join(dir, 'nested.jsonl'), {}, model), {
    message: 'holds values of type BIGINT[], and numbers, booleans and text are read; name the columns to use with --input.',
  })
  await t.rejects(proposeSchema(join(dir, 'none.csv'), {}, model), { code: 'data-missing', message: 'There is no data at' })
})

t.test('names of files and columns are never SQL', async (t) => {
  const dir = t.testdir()
  const names = [`it's`, `"; DROP TABLE source; --`, `a' OR '1'='1`, '$path', '[1]', 'select', '😀', "');ATTACH '/tmp/x'; --"]
  for (const name of names) {
    const path = join(dir, `${name.replaceAll('/', '')}.csv`)
    await writeFile(path, `"${name.replaceAll('"', '""')}",'y',label\n1,a'b,0\n3,c"d,1\n`)
    const { schema, train } = await use(path, model)
    t.strictSame(
      schema.columns?.map((column) => column.name),
      [name, "'y'", 'label'],
    )
    t.strictSame(schema.columns?.[1]?.categories, ["a'b", 'c"d'])
    t.equal(train.samples, 2)
    const json = join(dir, `${name.replaceAll('/', '')}.jsonl`)
    await writeFile(json, `${JSON.stringify({ [name]: 1, label: 0 })}\n${JSON.stringify({ [name]: 3, label: 1 })}\n`)
    t.strictSame(
      (await use(json, model)).schema.columns?.map((column) => column.name),
      [name, 'label'],
    )
  }
})

t.test('a file whose name is a pattern is read itself, or not at all', async (t) => {
  const dir = t.testdir({ 'a*.csv': CSV, 'b[1]?.csv': CSV })
  t.equal((await use(join(dir, 'a*.csv'), model)).train.samples, 3)
  t.equal((await use(join(dir, 'b[1]?.csv'), model)).train.samples, 3)
  await writeFile(join(dir, 'a2.csv'), 'a,y\n1,0\n')
  await t.rejects(use(join(dir, 'a*.csv'), model), { code: 'data-invalid', message: /rename it, without the characters \* \? \[\.$/ })
})

t.test('DuckDB may read the one file and nothing else', async (t) => {
  const dir = t.testdir({ 'a.csv': 'a,y\n1,2\n', 'b.csv': 'a,y\n1,2\n' })
  await using table = await openTable(join(dir, 'a.csv'))
  t.strictSame(await table.rows('SELECT a, y FROM source'), [['1', '2']])
  for (const sql of [
    `SELECT * FROM read_csv('${dir}/b.csv')`,
    `SELECT * FROM read_text('/etc/hostname')`,
    `SELECT * FROM read_csv('https://example.com/a.csv')`,
  ]) {
    await t.rejects(table.rows(sql), { code: 'data-invalid', message: 'file system operations are disabled by configuration' })
  }
})

t.test('where DuckDB is not installed, the command that gets it is told', async (t) => {
  const path = join(t.testdir({ 'a.csv': CSV }), 'a.csv')
  const missing = () => Promise.reject(new Error('Cannot find package'))
  await t.rejects(openTable(path, missing), {
    code: 'data-missing',
    message: `Reading ${path} takes DuckDB, which is not installed; get it with \`npm install @duckdb/node-api\`.`,
  })
})

t.test('a table too large for memory is refused before it is read', async (t) => {
  const path = join(t.testdir({ 'a.csv': `a,y\n${'c0,0\n'.repeat(9000)}` }), 'a.csv')
  const categories = Array.from({ length: 65_536 }, (_, i) => `c${i}`)
  const schema: DataSchema = {
    input: { dtype: 'float32', shape: [categories.length], scale: 1, offset: 0 },
    target: { kind: 'class', size: 1, shape: [] },
    columns: [
      { name: 'a', kind: 'category', categories, encoding: 'one-hot' },
      { name: 'y', kind: 'label' },
    ],
  }
  await t.rejects(loadData(path, schema, options), {
    code: 'limit-exceeded',
    message: `${path} takes 2359332000 bytes as numbers; at most 2147483648 are read: leave out rows or columns.`,
  })
})
