import fc from 'fast-check'
import t from 'tap'
import { createPrng } from '../../protocol/prng.ts'

const DRAWS = 40_000

function moments(draw: () => number): { mean: number; variance: number } {
  let sum = 0
  let squares = 0
  for (let i = 0; i < DRAWS; i++) {
    const value = draw()
    sum += value
    squares += value * value
  }
  const mean = sum / DRAWS
  return { mean, variance: squares / DRAWS - mean * mean }
}

t.test('the same seed gives the same stream, and it never changes between versions', async (t) => {
  const prng = createPrng('murmuration')
  const again = createPrng('murmuration')
  t.strictSame(
    Array.from({ length: 8 }, () => prng.next()),
    Array.from({ length: 8 }, () => again.next()),
  )
  t.equal(createPrng(7).next(), createPrng('7').next(), 'a number seeds as its text')
  const fixed = createPrng(42)
  t.strictSame(
    Array.from({ length: 4 }, () => fixed.int(1_000_000)),
    [859974, 899470, 412470, 975018],
  )
})

t.test('seeds that differ little give streams that share nothing', async (t) => {
  const firsts = new Set<number>()
  for (let seed = 0; seed < 5000; seed++) firsts.add(createPrng(seed).int(2 ** 32))
  t.ok(firsts.size >= 4998, `${firsts.size} different first words of 5000 (a coincidence has odds of 0.3 %)`)
  let seed = 0
  const { mean, variance } = moments(() => createPrng(seed++).next())
  t.ok(Math.abs(mean - 0.5) < 0.01, `first draws of neighbouring seeds have mean ${mean}`)
  t.ok(Math.abs(variance - 1 / 12) < 0.005, `and variance ${variance}`)
})

t.test('uniform numbers lie in [0, 1) with the right mean and variance', async (t) => {
  const prng = createPrng(1)
  const { mean, variance } = moments(() => {
    const value = prng.next()
    if (value < 0 || value >= 1) t.fail(`${value} is out of range`)
    return value
  })
  t.ok(Math.abs(mean - 0.5) < 0.01, `mean ${mean}`)
  t.ok(Math.abs(variance - 1 / 12) < 0.005, `variance ${variance}`)
})

t.test('whole numbers are in range and evenly spread', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 32 }), fc.string(), (n, seed) => {
      const value = createPrng(seed).int(n)
      return Number.isInteger(value) && value >= 0 && value < n
    }),
  )
  const prng = createPrng('dice')
  const counts = new Array<number>(6).fill(0)
  for (let i = 0; i < 60_000; i++) counts[prng.int(6)]!++
  const chi2 = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)
  t.ok(chi2 < 20.5, `chi-square ${chi2} with 5 degrees of freedom (99.9 %: 20.5)`)
  for (const bad of [0, -1, 1.5, Number.NaN, 2 ** 33]) t.throws(() => prng.int(bad), RangeError)
})

t.test('normals have mean 0 and variance 1; gammas have mean and variance equal to their shape', async (t) => {
  const prng = createPrng('moments')
  const normal = moments(prng.normal)
  t.ok(Math.abs(normal.mean) < 0.02, `mean ${normal.mean}`)
  t.ok(Math.abs(normal.variance - 1) < 0.03, `variance ${normal.variance}`)
  for (const shape of [0.1, 0.5, 1, 3, 50]) {
    const { mean, variance } = moments(() => prng.gamma(shape))
    t.ok(Math.abs(mean / shape - 1) < 0.06, `gamma(${shape}) has mean ${mean}`)
    t.ok(Math.abs(variance / shape - 1) < 0.15, `gamma(${shape}) has variance ${variance}`)
  }
  for (const bad of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) t.throws(() => prng.gamma(bad), RangeError)
})

t.test('a shuffle keeps what it was given, in every order equally often', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })), fc.string(), (items, seed) => {
      const shuffled = createPrng(seed).shuffle(Int32Array.from(items))
      return shuffled.toSorted().join() === Int32Array.from(items).sort().join()
    }),
  )
  const prng = createPrng('orders')
  const orders = new Map<string, number>()
  for (let i = 0; i < 24_000; i++) {
    const order = prng.shuffle(['a', 'b', 'c', 'd']).join('')
    orders.set(order, (orders.get(order) ?? 0) + 1)
  }
  t.equal(orders.size, 24)
  const chi2 = [...orders.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
  t.ok(chi2 < 49.7, `chi-square ${chi2} with 23 degrees of freedom (99.9 %: 49.7)`)
})
