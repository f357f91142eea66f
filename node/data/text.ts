// Text files as data: windows of T tokens, of which the model learns to tell each next one.
import { resolve } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { isFile, readBounded } from './file.ts'
import type { DataFormat, DataSchema, ModelHints, RawSamples, Selection } from './spec.ts'
import { charactersOf, parseVocabulary, tokenize } from './vocabulary.ts'

/** Bytes of a text: its ids, once as input and once as label, take eight times as many. */
const MAX_BYTES = 256 * 1024 * 1024
/** Tokens of a sample where the model takes any number. */
const DEFAULT_WINDOW = 64

export const text: DataFormat = {
  usage: 'a text (.txt)',
  async open(spec, selection) {
    const path = resolve(spec)
    if (!/\.txt$/i.test(path) || !(await isFile(path))) return undefined
    return {
      name: path,
      propose: (hints) => propose(path, selection, hints),
      train: (schema) => readSamples(path, schema),
    }
  },
}

async function propose(path: string, selection: Selection, hints: ModelHints): Promise<DataSchema> {
  const { target: kind, classes } = hints
  if (kind !== 'tokens' && kind !== 'class') {
    throw new MurmurError(
      'data-invalid',
      `${path} is a text, but the model predicts ${kind === 'binary' ? 'yes or no' : 'numbers'}; a text takes one that predicts tokens.`,
    )
  }
  const content = await readText(path)
  const vocabulary =
    selection.vocabulary === undefined
      ? charactersOf(content, path)
      : parseVocabulary(await readText(resolve(selection.vocabulary)), resolve(selection.vocabulary))
  if (classes !== undefined && classes < vocabulary.length) {
    const from = selection.vocabulary ?? path
    throw new MurmurError('data-invalid', `${from} has ${vocabulary.length} different tokens, but the model tells only ${classes} apart.`)
  }
  const shape = hints.inputShape.map((dim) => dim ?? DEFAULT_WINDOW)
  return {
    input: { dtype: hints.input, shape, scale: 1, offset: 0 },
    target: { kind, size: classes ?? vocabulary.length, shape: kind === 'tokens' ? shape : [] },
    vocabulary,
  }
}

async function readSamples(path: string, { input, target, vocabulary }: DataSchema): Promise<RawSamples> {
  if (vocabulary === undefined) {
    throw new MurmurError('data-invalid', `${path} is a text, but the task agreed on no vocabulary: it was founded with other data.`)
  }
  const ids = tokenize(await readText(path), vocabulary, path)
  const window = sizeOf(input.shape)
  // The label of a sample's last token is the next sample's first.
  const samples = Math.floor((ids.length - 1) / window)
  if (samples < 1) {
    throw new MurmurError('data-invalid', `${path} has ${ids.length} tokens, and one sample takes ${window + 1}; give a longer text.`)
  }
  const inputs = ids.subarray(0, samples * window)
  return {
    x: input.dtype === 'int64' ? inputs : Float32Array.from(inputs),
    y:
      target.kind === 'class'
        ? Int32Array.from({ length: samples }, (_, i) => ids[(i + 1) * window]!)
        : ids.subarray(1, samples * window + 1),
    samples,
    sampleShape: input.shape,
    labelShape: target.kind === 'class' ? [] : target.shape,
    ...{ inputsFrom: path, labelsFrom: path },
  }
}

/** @throws data-missing, data-invalid, limit-exceeded */
async function readText(path: string): Promise<string> {
  const bytes = await readBounded(path, MAX_BYTES)
  if (bytes.length === 0) throw new MurmurError('data-invalid', `${path} is empty.`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new MurmurError('data-invalid', `${path} is not text in UTF-8; convert it.`, { cause })
  }
}
