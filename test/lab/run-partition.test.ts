// How the lab deals data: each cut is one, and has the shape that its name tells.
import fc from 'fast-check'
import t from 'tap'
import { type Cuttable, cutData, parsePartition } from '../../node/lab/run/partition.ts'
import { createPrng } from '../../protocol/prng.ts'

const CLASSES = 10

function dataOf(samples: number, seed: number | string = 1): Cuttable {
  const prng = createPrng(`labels ${seed}`)
  const labels = Int32Array.from({ length: samples }, () => prng.int(CLASSES))
  return { samples, labels, groups: Array.from(labels, (label, i) => `${label} ${i % 7}`) }
}

const cut = (data: Cuttable, text: string, parts: number, seed: number | string = 1) => cutData(data, parsePartition(text), parts, seed)
const classesOf = ({ labels }: Cuttable, part: Int32Array) => new Set(Array.from(part, (row) => labels![row]!))

const TEXTS = ['iid', 'dirichlet:0.1', 'shards:2', 'quantity:0.5', 'similarity:0.33', 'natural:site']

t.test('every cut is one: disjoint, together all, nobody without a sample, each in order, the same for the same seed', async (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...TEXTS), fc.integer({ min: 2, max: 20 }), fc.nat(), (text, parts, seed) => {
      const data = dataOf(1000, seed)
      const dealt = cut(data, text, parts, seed)
      const all = dealt.flatMap((part) => [...part]).sort((a, b) => a - b)
      const isOrdered = dealt.every((part) => part.length > 0 && part.every((row, i) => i === 0 || part[i - 1]! < row))
      const again = cut(data, text, parts, seed)
      return (
        dealt.length === parts &&
        isOrdered &&
        all.length === 1000 &&
        all.every((row, i) => row === i) &&
        dealt.every((part, i) => Buffer.compare(Buffer.from(part.buffer), Buffer.from(again[i]!.buffer)) === 0)
      )
    }),
  )
  t.pass()
})

t.test('each cut is as uneven as its name tells', async (t) => {
  const data = dataOf(2000)
  const few = cut(data, 'shards:2', 10).map((part) => classesOf(data, part).size)
  t.ok(Math.max(...few) <= 4, 'two pieces hold few classes')
  const sizes = cut(data, 'quantity:0.3', 10).map((part) => part.length)
  t.ok(Math.max(...sizes) > 3 * Math.min(...sizes), `sizes ${sizes.join()}`)
  const sorted = cut(data, 'similarity:0', 10).map((part) => classesOf(data, part).size)
  t.ok(Math.max(...sorted) <= 3, 'sorted labels')
  const alike = cut(data, 'similarity:1', 10).map((part) => classesOf(data, part).size)
  t.equal(Math.min(...alike), CLASSES)
})

t.test('a natural cut keeps all of one value together', async (t) => {
  const data = dataOf(700)
  const owners = new Map<string, Set<number>>()
  for (const [peer, part] of cut(data, 'natural:site', 12).entries()) {
    for (const row of part) owners.set(data.groups![row]!, (owners.get(data.groups![row]!) ?? new Set()).add(peer))
  }
  t.ok([...owners.values()].every(({ size }) => size === 1))
})

t.test('a cut that is none, or that the data does not allow, is refused with the value', async (t) => {
  const parse = (text: string, message: RegExp) => t.throws(() => parsePartition(text), { code: 'bad-argument', message }, text)
  parse('dirichlet', /cannot be "dirichlet": give iid, dirichlet:ALPHA/)
  parse('dirichlet:0', /cannot be "dirichlet:0": give an alpha above 0/)
  parse('iid:2', /cannot be "iid:2": give iid without a number/)
  parse('shards:1.5', /give a whole number of pieces/)
  parse('similarity:2', /give a share from 0 to 1/)
  parse('sorted:1', /cannot be "sorted:1": give iid/)
  t.throws(() => cut(dataOf(100), 'natural:site', 71), {
    code: 'bad-argument',
    message: /different values for 71 honest peers; give fewer peers/,
  })
  t.throws(() => cut(dataOf(3), 'iid', 4), { code: 'data-invalid', message: /3 samples, too few for 4 peers/ })
  t.throws(() => cut(dataOf(30), 'shards:8', 4), { code: 'bad-argument', message: /30 samples make no 32 pieces/ })
  t.throws(() => cut({ samples: 9, labels: undefined, groups: undefined }, 'dirichlet:1', 2), {
    message: /the data has no single class a sample/,
  })
})
