// Attacks that a process of a test task can be told to make: on what it trains on and what it announces, never with what others have not sent yet.
import t from 'tap'
import type { LoadedData } from '../../node/data/load.ts'
import { LAB_ATTACKS } from '../../node/lab/attacks/names.ts'
import { ATTACKS, parseAttack } from '../../node/lab/attacks.ts'
import { MISBEHAVIOURS, misbehaving } from '../../node/lab/misbehaviour.ts'
import { poisoned } from '../../node/lab/poisoned.ts'
import type { PeerParts } from '../../node/peer/parts.ts'

t.test('an attack that needs the models of others is for the lab alone, and the refusal says so', (t) => {
  const parts = {} as PeerParts
  const labOnly = Object.keys(LAB_ATTACKS).filter((name) => !Object.hasOwn(MISBEHAVIOURS, name))
  t.same(labOnly, [
    'ipm',
    'alie',
    'foe',
    'mimic',
    'optimal-ipm',
    'optimal-alie',
    'min-max',
    'fang-trim',
    'dissensus',
    'spectral',
    'drift',
    'adaptive',
  ])
  for (const name of labOnly)
    for (const text of [name, `${name}:2`, `${name}(2)`]) {
      t.throws(() => misbehaving(parts, text), { code: 'bad-argument', message: `The attack "${name}" needs the models of others` }, text)
      t.throws(() => parseAttack(text), { code: 'bad-argument', message: 'it works in murmur lab alone; use one of sign-flip' }, text)
    }
  t.throws(() => misbehaving(parts, 'sign-flip(4)'), { code: 'bad-argument', message: 'use NAME or NAME:SCALE' })
  t.end()
})

t.test('what a process announces is made of its own round', (t) => {
  const honest = { start: Float32Array.of(1, 2), trained: Float32Array.of(2, 4), round: 3 }
  const announced = (text: string) => [...parseAttack(text).forge('seed')(honest)]
  t.same(announced('free-rider'), [1, 2])
  t.same(announced('label-flip'), [2, 4])
  t.same(announced('backdoor'), [6, 12])
  t.same(announced('sign-flip:2'), [-1, -2])
  t.same(announced('boost:3'), [4, 8])
  t.same(announced('gaussian'), announced('gaussian:1'))
  t.equal(
    Object.values(ATTACKS).every(({ description, scale }) => description !== '' && Number.isFinite(scale)),
    true,
  )
  t.end()
})

t.test('attacks on data change the training data alone, and say so', (t) => {
  const samples = (y: number[]) => ({ x: new Uint8Array(y.length * 16), y: Int32Array.from(y), samples: y.length })
  const data: LoadedData = { train: samples([0, 1, 2, 3]), validation: samples([1]), summary: '4 samples', classes: [1, 1, 1, 1] }
  const task = {
    data: {
      input: { dtype: 'uint8' as const, shape: [4, 4], scale: 1, offset: 0 },
      target: { kind: 'class' as const, size: 4, shape: [] },
    },
    loss: {},
  }
  const flipped = poisoned(data, 'label-flip', task, 'me')
  t.same([...flipped.train.y], [3, 2, 1, 0])
  t.equal(flipped.validation, data.validation)
  t.match(flipped.summary, 'changed for the attack label-flip')
  const triggered = poisoned(data, 'backdoor:3', task, 'me')
  t.equal(triggered.train.x.filter((x) => x === 255).length, 2 * 9)
  for (const text of [undefined, 'sign-flip', 'flood:9']) t.equal(poisoned(data, text, task, 'me'), data)
  const stream = { ...data, stream: {} as NonNullable<LoadedData['stream']> }
  t.throws(() => poisoned(stream, 'label-flip', task, 'me'), { code: 'bad-argument', message: 'raise --memory' })
  t.throws(() => poisoned(data, 'lies', task, 'me'), { code: 'bad-argument', message: Object.keys(MISBEHAVIOURS).join(', ') })
  t.end()
})
