// Several threads that aggregate together, from memory and from files.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openSource, type Source } from '../../node/peer/aggregate-source.ts'
import { createTeam } from '../../node/peer/aggregate-team.ts'
import { createKernels, type Kernels } from '../../protocol/aggregation/kernels/index.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { temporaryFolder } from '../helpers/processes.ts'

const LENGTH = 20_001
const ROWS = 6

const places = (codec: string) =>
  Array.from({ length: ROWS }, (_, row) => {
    const payload = codecOf(codec).encode(Float32Array.from({ length: LENGTH }, (_, i) => Math.sin(i * 0.7 + row * 99)))
    const at = new Uint8Array(new SharedArrayBuffer(payload.length))
    at.set(payload)
    return { codec, maxAbs: 10, at }
  })

/** Everything that the passes give. */
function passes(kernels: Kernels<Source>, sources: readonly Source[]): unknown[] {
  const matrix = kernels.open(sources, LENGTH)
  const output = new Float32Array(LENGTH)
  const weights = Float64Array.from({ length: ROWS * ROWS }, (_, i) => ((i * 7) % 5) / 10)
  const results: unknown[] = [matrix.gate(), matrix.distances(LENGTH), matrix.distancesFrom(2, LENGTH - 5), matrix.trimmedMean(2, output)]
  results.push(output.slice(), matrix.mixed(weights).trimmedMean(1, output), output.slice())
  return results
}

const team = createTeam(3, 0)
t.teardown(() => team.stop())
const alone = createKernels(createTeam(1))
const together = createKernels(team)

t.test('threads together give, bit for bit, what one gives alone', async (t) => {
  const dir = temporaryFolder(t)
  for (const codec of ['float32', 'float16', 'int8']) {
    const inMemory = places(codec)
    const expected = passes(alone, inMemory.map(openSource))
    const inFiles = inMemory.map((place, i) => {
      const file = join(dir, `${codec}-${i}`)
      writeFileSync(file, place.at)
      return { ...place, at: { file } }
    })
    for (let i = 0; i < 2; i++) t.same(passes(together, inMemory.map(openSource)), expected, codec)
    const sources = inFiles.map(openSource)
    t.same(passes(together, sources), expected, `${codec} from files`)
    for (const source of sources) source.close()
  }
})

t.test('what goes wrong in a thread comes out as an error, and the next rows are none the worse', async (t) => {
  const sources = places('float32').map(openSource)
  const broken = sources.with(3, { ...sources[3]!, place: { ...sources[3]!.place, at: { file: join(temporaryFolder(t), 'gone') } } })
  t.same(passes(together, broken), passes(alone, sources), 'a helper without its file: its parts are done by the thread that asked')
  const unreadable = broken.with(3, {
    ...broken[3]!,
    read() {
      throw new Error('the disk is gone')
    },
  })
  t.throws(() => passes(together, unreadable), { message: 'the disk is gone' })
  t.same(passes(together, sources), passes(alone, sources))
})
