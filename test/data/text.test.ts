import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { loadData, proposeSchema } from '../../node/data/load.ts'
import type { ModelHints } from '../../node/data/spec.ts'
import { charactersOf, parseVocabulary, tokenize } from '../../node/data/vocabulary.ts'

const options = { validation: 0, seed: 1 }
const model: ModelHints = { input: 'int64', inputShape: [4], target: 'tokens' }

t.test('a text is windows of characters, each with the characters that follow', async (t) => {
  const dir = t.testdir({ 'a.txt': 'hello world, b' })
  const path = join(dir, 'a.txt')
  const schema = await proposeSchema(path, {}, model)
  t.strictSame(schema, {
    input: { dtype: 'int64', shape: [4], scale: 1, offset: 0 },
    target: { kind: 'tokens', size: 10, shape: [4] },
    vocabulary: [' ', ',', 'b', 'd', 'e', 'h', 'l', 'o', 'r', 'w'],
  })
  const { train, classes, summary } = await loadData(path, schema, options)
  const text = (ids: ArrayLike<number>) => Array.from(ids, (id) => schema.vocabulary![id]).join('')
  t.ok(train.x instanceof Int32Array && train.y instanceof Int32Array)
  t.strictSame([train.samples, text(train.x), text(train.y)], [3, 'hello world,', 'ello world, '])
  t.strictSame(classes, [])
  t.match(summary, 'a.txt, 3 samples to train on')
  const floats = await proposeSchema(path, {}, { ...model, input: 'float32', classes: 20 })
  t.equal(floats.target.size, 20, 'a model may tell more apart')
  t.ok((await loadData(path, floats, options)).train.x instanceof Float32Array)
})

t.test('a model that tells only the next token gets one label a window', async (t) => {
  const path = join(t.testdir({ 'a.txt': 'abcdefghi' }), 'a.txt')
  const schema = await proposeSchema(path, {}, { ...model, target: 'class' })
  t.strictSame(schema.target, { kind: 'class', size: 9, shape: [] })
  const { train } = await loadData(path, schema, options)
  t.strictSame(
    [[...train.x], [...train.y]],
    [
      [0, 1, 2, 3, 4, 5, 6, 7],
      [4, 8],
    ],
  )
})

t.test('where the model takes windows of any length, they have 64 tokens', async (t) => {
  const path = join(t.testdir({ 'a.txt': 'ab'.repeat(100) }), 'a.txt')
  const schema = await proposeSchema(path, {}, { ...model, inputShape: [null] })
  t.strictSame(schema.input.shape, [64])
  t.equal((await loadData(path, schema, options)).train.samples, 3)
})

t.test('with a vocabulary the longest token that fits is taken, and line breaks can be written', async (t) => {
  const dir = t.testdir({ 'a.txt': 'abcab\nc\\a', 'tokens.txt': 'a\r\nab\r\nabc\r\nc\r\n\\n\r\n\\\\\r\n' })
  const path = join(dir, 'a.txt')
  const schema = await proposeSchema(path, { vocabulary: join(dir, 'tokens.txt') }, { ...model, inputShape: [1] })
  t.strictSame(schema.vocabulary, ['a', 'ab', 'abc', 'c', '\n', '\\'])
  const { train } = await loadData(path, schema, options)
  t.strictSame([...train.x, train.y.at(-1)], [2, 1, 4, 3, 5, 0])
})

t.test('what is tokenized is the text again, token by token', async () => {
  const vocabularies = fc.uniqueArray(fc.string({ unit: fc.constantFrom('a', 'b', '😀', '\n'), minLength: 1, maxLength: 4 }), {
    maxLength: 12,
  })
  fc.assert(
    fc.property(vocabularies, fc.string({ unit: fc.constantFrom('a', 'b', '😀', '\n') }), (more, text) => {
      const vocabulary = [...new Set(['a', 'b', '😀', '\n', ...more])]
      const ids = tokenize(text, vocabulary, 'f')
      let at = 0
      for (const id of ids) {
        const longest = vocabulary.filter((token) => text.startsWith(token, at)).sort((x, y) => y.length - x.length)[0]
        if (vocabulary[id] !== longest) return false
        at += longest!.length
      }
      return at === text.length
    }),
  )
})

t.test('characters are ordered by code point, each once', async (t) => {
  t.strictSame(charactersOf('b😀a\uffeeb', 'f'), ['a', 'b', '\uffee', '😀'])
})

t.test('a text that does not fit is refused in one sentence', async (t) => {
  const dir = t.testdir({ 'a.txt': 'abcabcabc', 'empty.txt': '' })
  const path = join(dir, 'a.txt')
  const schema = await proposeSchema(path, {}, model)
  const refused = async (text: string | Buffer, message: string) => {
    await writeFile(path, text)
    await t.rejects(loadData(path, schema, options), { code: 'data-invalid', message })
  }
  await refused('abc\nabcx', `${path} holds " " (U+000A) in line 1, column 4, for which the task's vocabulary has no token.`)
  await refused('abcabca😀b', 'holds "😀" (U+1F600) in line 1, column 8')
  await refused('abca', `${path} has 4 tokens, and one sample takes 5; give a longer text.`)
  await refused('', `${path} is empty.`)
  await refused(Buffer.of(0x61, 0xff), `${path} is not text in UTF-8; convert it.`)
  const proposing = async (hints: ModelHints, message: string, vocabulary?: string) =>
    t.rejects(proposeSchema(path, { vocabulary }, hints), { code: 'data-invalid', message })
  await writeFile(path, 'abc')
  await proposing({ ...model, classes: 2 }, `${path} has 3 different tokens, but the model tells only 2 apart.`)
  await proposing({ ...model, target: 'number' }, 'is a text, but the model predicts numbers')
  await proposing(model, 'empty.txt is empty.', join(dir, 'empty.txt'))
  await t.rejects(proposeSchema(path, { vocabulary: join(dir, 'none') }, model), { code: 'data-missing' })
  const { vocabulary: _, ...other } = schema
  await t.rejects(loadData(path, other, options), { code: 'data-invalid', message: 'but the task agreed on no vocabulary' })
})

t.test('a vocabulary that breaks its rules is refused with the line', async (t) => {
  const refused = (text: string, why: string) =>
    t.throws(() => parseVocabulary(text, 'v.txt'), { code: 'data-invalid', message: `v.txt is not a usable vocabulary: ${why}` })
  refused('', 'it is empty')
  refused('a\n\nb', 'line 2 is empty')
  refused('a\nb\na', 'line 3 repeats the token of line 1')
  refused(`a\n${'b'.repeat(257)}`, 'line 2 has 257 characters, and a token at most 256')
  refused('x\n'.repeat(65_537), 'it has 65537 tokens')
})
