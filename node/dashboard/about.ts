// What a person wants to know of the network, the model and the own data before looking at curves: pairs of a term and a value.
import { layoutSize } from '../../protocol/layout.ts'
import { admissionInWords, type Manifest } from '../../protocol/manifest.ts'
import { REJECTIONS } from '../../protocol/rejections.ts'
import { promise } from '../../protocol/sampling.ts'
import type { Task } from '../../protocol/task.ts'
import { megabytes } from '../cli/format.ts'
import type { Trainer } from '../ports.ts'
import type { About } from './state.ts'

type Pairs = About['model']

export function aboutOf(
  task: Task,
  own: { peer: string; dir: string; startedAt: number; data: string; trainer: Pick<Trainer, 'trainSamples' | 'validationSamples'> },
): About {
  const { manifest } = task
  const { peer, dir, startedAt, data, trainer } = own
  return {
    ...{ peer, dir, startedAt, name: manifest.name, task: task.hex },
    model: modelPairs(task),
    rules: rulePairs(manifest),
    data: [
      ['source', data],
      ['training samples', whole(trainer.trainSamples)],
      ['validation samples', whole(trainer.validationSamples)],
      ['a sample', `${shapeText(manifest.data.input.shape)} ${manifest.data.input.dtype}`],
      ['to predict', targetText(manifest.data.target)],
    ],
    reasons: Object.fromEntries(Object.entries(REJECTIONS).map(([code, { why, fault }]) => [code, { why, fault }])),
  }
}

function modelPairs({ manifest, layout, exchanged }: Task): Pairs {
  const { model, loss, optimizer, work, codec } = manifest
  const bytes = { float32: 4, float16: 2, int8: 1 }[codec]
  return [
    ['model', model.name],
    ['parameters', `${whole(layoutSize(layout))} in ${whole(layout.length)} tensors`],
    ['exchanged', `${whole(exchanged)} as ${codec}, about ${megabytes(bytes * exchanged)} an update`],
    ['loss', loss.kind],
    [
      'optimizer',
      `${optimizer.kind}, learning rate ${optimizer.learningRate}${optimizer.schedule === 'constant' ? '' : `, ${optimizer.schedule}`}`,
    ],
    [
      'a round',
      `up to ${whole(work.steps)} steps of ${work.batchSize} samples${work.roundSeconds === undefined ? '' : `, ${work.roundSeconds} s at most`}`,
    ],
  ]
}

function rulePairs(manifest: Manifest): Pairs {
  const { rule, byzantineShare, pace, stop } = manifest
  const ends = [
    stop.rounds === undefined ? '' : `after round ${whole(stop.rounds)}`,
    stop.targetAccuracy === undefined ? '' : `at a validation accuracy of ${(100 * stop.targetAccuracy).toFixed(1)} %`,
    stop.seconds === undefined ? '' : `after ${whole(stop.seconds)} s`,
  ].filter((text) => text !== '')
  return [
    ['aggregation', rule],
    ['malicious members', `${byzantineShare / 100} % at most. ${promise(pace.minPeers, byzantineShare).sentence}`],
    ['gathering', `${pace.gatherMinSeconds} to ${pace.gatherMaxSeconds} s; begins with ${pace.minPeers} members`],
    ['ends', ends.length === 0 ? 'never' : ends.join(', or ')],
    ['admission', admissionInWords(manifest)],
    ...(manifest.testTask ? ([['for experiments', 'peers may be told to misbehave']] satisfies Pairs) : []),
  ]
}

const whole = (value: number): string => value.toLocaleString('en')

const shapeText = (shape: readonly number[]): string => (shape.length === 0 ? 'a single' : shape.join(' × '))

function targetText({ kind, size, shape }: Manifest['data']['target']): string {
  switch (kind) {
    case 'class':
      return `one of ${whole(size)} classes`
    case 'tokens':
      return `tokens of a vocabulary of ${whole(size)}`
    case 'binary':
      return size === 1 ? 'yes or no' : `${whole(size)} answers of yes or no`
    case 'number':
      return size === 1 ? 'a number' : `${shapeText(shape)} numbers`
  }
}
