// How many attackers are assumed, whom a peer pulls from, and what is promised in words.
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { byzantineBound, faultsAmong, promise, sampleOrder } from '../../protocol/sampling.ts'
import { sha256 } from '../helpers/keys.ts'

t.test('a share above 0 never assumes fewer than one attacker', (t) => {
  t.equal(byzantineBound(4, 2000), 1)
  t.equal(byzantineBound(1, 1), 1)
  t.equal(byzantineBound(10, 2000), 2)
  t.equal(byzantineBound(14, 2000), 2)
  t.equal(byzantineBound(15, 2000), 3)
  t.equal(byzantineBound(1000, 4999), 499)
  t.equal(byzantineBound(1000, 0), 0)
  t.end()
})

t.test('the least sample that is safe is the published one', (t) => {
  for (const [n, b, least] of [
    [20, 4, 8],
    [50, 10, 20],
    [100, 10, 16],
    [100, 20, 30],
    [1000, 100, 24],
  ] as const) {
    const safe = Array.from({ length: n - 1 }, (_, i) => i + 1).find((s) => 2 * faultsAmong(n, b, s, 200) < s + 1)
    t.equal(safe, least, `n=${n} b=${b}`)
  }
  t.end()
})

t.test('a full view assumes all of the attackers', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1024 }), fc.integer({ min: 0, max: 4999 }), (n, share) => {
      const b = byzantineBound(n, share)
      return faultsAmong(n, b, n - 1, 200) === b && faultsAmong(n, b, n, 200) === b
    }),
  )
  t.end()
})

t.test('a sample assumes at most what it can hold, and no fewer when it grows, the task is longer or more are malicious', (t) => {
  const arbitrary = fc.record({
    n: fc.integer({ min: 3, max: 1024 }),
    share: fc.integer({ min: 0, max: 4999 }),
    s: fc.integer({ min: 1, max: 1022 }),
    rounds: fc.integer({ min: 1, max: 10_000 }),
  })
  fc.assert(
    fc.property(arbitrary, ({ n, share, s, rounds }) => {
      fc.pre(s < n - 1)
      const b = byzantineBound(n, share)
      const f = faultsAmong(n, b, s, rounds)
      return (
        Number.isInteger(f) &&
        f >= 0 &&
        f <= Math.min(b, s) &&
        f <= faultsAmong(n, b, s + 1, rounds) &&
        f <= faultsAmong(n, b, s, rounds * 2)
      )
    }),
  )
  t.end()
})

t.test('the bound is the smallest that the exact hypergeometric tail allows', (t) => {
  const choose = (n: bigint, k: bigint): bigint => {
    if (k < 0n || k > n) return 0n
    let product = 1n
    for (let i = 1n; i <= k; i++) product = (product * (n - k + i)) / i
    return product
  }
  /** (n - b) T P[more than f] <= 1 / 100, in whole numbers. */
  const holds = (n: number, b: number, s: number, rounds: number, f: number): boolean => {
    const [others, marked, drawn] = [BigInt(n - 1), BigInt(b), BigInt(s)]
    let above = 0n
    for (let k = BigInt(f) + 1n; k <= drawn; k++) above += choose(marked, k) * choose(others - marked, drawn - k)
    return 100n * BigInt(n - b) * BigInt(rounds) * above <= choose(others, drawn)
  }
  for (const [n, b, s, rounds] of [
    [40, 8, 30, 200],
    [100, 20, 30, 10_000],
    [1024, 511, 30, 10_000],
    [1024, 511, 700, 1],
    [300, 1, 30, 50],
    [64, 3, 5, 1],
  ] as const) {
    const f = faultsAmong(n, b, s, rounds)
    t.ok(holds(n, b, s, rounds, f), `f=${f} holds for n=${n} b=${b} s=${s}`)
    if (f > 0) t.notOk(holds(n, b, s, rounds, f - 1), 'and one fewer does not')
  }
  t.end()
})

t.test('the order of a sample is a permutation fixed by secret and round alone', (t) => {
  const secret = randomBytes(32)
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 40 }), fc.nat(), (members, round) => {
      const order = sampleOrder(members, round, secret, sha256)
      const again = sampleOrder(members.toReversed(), round, secret, sha256)
      return order.join('\n') === again.join('\n') && order.toSorted().join('\n') === members.toSorted().join('\n')
    }),
  )
  const members = Array.from({ length: 50 }, (_, i) => `peer-${i}`)
  const order = sampleOrder(members, 7, secret, sha256)
  t.not(order.join(), sampleOrder(members, 8, secret, sha256).join(), 'another round, another order')
  t.not(order.join(), sampleOrder(members, 7, randomBytes(32), sha256).join(), 'another secret, another order')
  t.equal(members[0], 'peer-0', 'the list given is left as it is')
  t.end()
})

t.test('every member is drawn about equally often', (t) => {
  const members = Array.from({ length: 10 }, (_, i) => `peer-${i}`)
  const secret = Uint8Array.from({ length: 32 }, (_, i) => i)
  const drawn = new Map<string, number>()
  for (let round = 0; round < 1000; round++) {
    for (const id of sampleOrder(members, round, secret, sha256).slice(0, 3)) drawn.set(id, (drawn.get(id) ?? 0) + 1)
  }
  // 300 expected, standard deviation 14.5; the secret is fixed, so this passes always or never.
  for (const id of members) t.ok(Math.abs(drawn.get(id)! - 300) < 75, `${id}: ${drawn.get(id)}`)
  t.end()
})

t.test('says in words what a network of a size may promise', (t) => {
  t.same(promise(6, 2000), {
    b: 1,
    safe: true,
    live: true,
    sentence:
      'With 6 peers and a byzantine share of 20 %, up to 1 may be malicious: safe (6 > 2), and live even if it stays silent (6 > 3).',
  })
  t.match(promise(3, 2000), { b: 1, safe: true, live: false, sentence: /safe \(3 > 2\), but it can hold up rounds by staying silent/ })
  t.match(promise(2, 2000), {
    b: 1,
    safe: false,
    live: false,
    sentence: /not safe .* before 3 peers take part; with share 0 fewer can train/,
  })
  t.match(promise(9, 3500), { b: 3, safe: true, live: false, sentence: /they can hold up/ })
  t.match(promise(2, 0), { b: 0, safe: true, live: true, sentence: /every peer is trusted/ })
  t.match(promise(1, 1), { sentence: /^With 1 peer and a byzantine share of 0\.01 %, / })
  t.end()
})
