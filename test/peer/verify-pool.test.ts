// Signatures that are checked in other threads: the same answers, in the order they were asked for, however many at a time.
import fc from 'fast-check'
import t from 'tap'
import { createVerifiers } from '../../node/store/verify.ts'
import { createVerifyPool } from '../../node/store/verify-pool.ts'
import type { Proof } from '../../protocol/envelope.ts'
import { signerOf } from '../helpers/keys.ts'

const signers = ['a', 'b', 'c'].map(signerOf)

t.test('a check elsewhere says what a check here says, of good signatures and of bad ones', async (t) => {
  const { verify, verifyElsewhere } = createVerifiers()
  const claim = fc.record({ by: fc.nat(2), of: fc.nat(2), text: fc.uint8Array({ maxLength: 40 }), cut: fc.constantFrom(0, 0, 0, 1) })
  await fc.assert(
    fc.asyncProperty(fc.array(claim, { maxLength: 20 }), async (claims) => {
      const proofs = claims.map(({ by, of, text, cut }): Proof => {
        const signature = signers[by]!.sign(text)
        return [signers[of]!.publicKey.subarray(cut), text, signature]
      })
      const told = await Promise.all(proofs.map((proof) => verifyElsewhere(...proof)))
      return told.every((isSigned, i) => isSigned === verify(...proofs[i]!))
    }),
    { numRuns: 30 },
  )
  t.pass()
})

t.test('answers come in order, few checks are in the pool, and beyond a number of them this thread does its share', async (t) => {
  const waiting: (() => void)[] = []
  let here = 0
  const pool = createVerifyPool(
    () => {
      here++
      return true
    },
    () => new Promise((resolve) => waiting.push(() => resolve(true))),
  )
  const proof: Proof = [new Uint8Array(), new Uint8Array(), new Uint8Array()]
  const order: number[] = []
  const all = Array.from({ length: 400 }, (_, i) => pool(...proof).then(() => order.push(i)))
  t.equal(waiting.length, 16)
  t.equal(here, 400 - 256)
  // The pool answers in any order.
  for (let done = waiting.pop(); done !== undefined; done = waiting.pop()) {
    done()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all(all)
  t.same(
    order,
    order.toSorted((a, b) => a - b),
  )
})
