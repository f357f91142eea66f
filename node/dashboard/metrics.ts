// What Prometheus is told: counted from events as they come, put into words when it asks. Labels are of closed sets and name no peer.
import { ERROR_CODES, type ErrorCode } from '../../protocol/errors.ts'
import { REJECTIONS, type RejectionCode } from '../../protocol/rejections.ts'
import type { PeerEvent, Phase } from '../events.ts'
import { PROTOCOL_NAMES } from '../host/stream-meter.ts'
import type { Flow } from '../ports.ts'
import { expose, type Metric, newHistogram, observe, type Sample } from './exposition.ts'

/** Seconds: from a small model on a fast machine to a large one on a slow one. */
const TRAINING_BOUNDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800]
const AGGREGATION_BOUNDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120]
const ROUND_BOUNDS = [1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600]
const PHASES: readonly Phase[] = ['starting', 'waiting', 'training', 'gathering', 'syncing', 'aggregating', 'finished', 'stopped']

/** What is asked for at the moment of a scrape. */
export interface Now {
  connections: number
  members: number
  protocols: Record<string, Flow>
}

export interface Metrics {
  note(event: PeerEvent, atMillis: number): void
  text(now: Now): string
}

export function createMetrics(version: string): Metrics {
  const training = newHistogram(TRAINING_BOUNDS)
  const aggregation = newHistogram(AGGREGATION_BOUNDS)
  const rounds = newHistogram(ROUND_BOUNDS)
  const rejections = new Map<RejectionCode, number>()
  const warnings = new Map<ErrorCode, number>()
  const inputs = { accepted: 0, trimmed: 0, rejected: 0 }
  const totals = { steps: 0, samples: 0, payloads: 0, published: 0, equivocations: 0, jumps: 0 }
  let round = 0
  let roundBegan: number | undefined
  let phase: Phase = 'starting'
  let connected = 0
  let traffic: Flow = { received: 0, sent: 0 }
  let loopP99Millis: number | undefined
  let loss: { train?: number; validation?: number } = {}
  let accuracy: number | undefined

  function note(event: PeerEvent, at: number): void {
    switch (event.type) {
      case 'phase':
        phase = event.phase
        round = event.round
        break
      case 'peers':
        connected = event.connected
        break
      case 'trained':
        observe(training, event.seconds)
        totals.steps += event.steps
        totals.samples += event.samples
        loss = { ...loss, train: event.loss }
        break
      case 'aggregated':
        observe(aggregation, event.seconds)
        if (roundBegan !== undefined) observe(rounds, (at - roundBegan) / 1000)
        roundBegan = at
        for (const fate of ['accepted', 'trimmed', 'rejected'] as const) inputs[fate] += event[fate]
        break
      case 'evaluated':
        if (event.split !== 'validation') break
        loss = { ...loss, validation: event.loss }
        accuracy = event.accuracy
        break
      case 'received':
        totals.payloads++
        break
      case 'published':
        totals.published++
        break
      case 'rejected':
        rejections.set(event.code, (rejections.get(event.code) ?? 0) + 1)
        break
      case 'warning':
        warnings.set(event.code, (warnings.get(event.code) ?? 0) + 1)
        break
      case 'equivocation':
        totals.equivocations++
        break
      case 'jumped':
        totals.jumps++
        break
      case 'traffic':
        traffic = event
        break
      case 'health':
        loopP99Millis = event.eventLoopP99Millis
        break
    }
  }

  function metrics({ connections, members, protocols }: Now): Metric[] {
    const { rss, heapUsed } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    const gauge = (name: string, help: string, ...values: (number | undefined)[]): Metric => ({
      ...{ name, help, type: 'gauge' },
      samples: values.flatMap((value) => (value === undefined ? [] : { value })),
    })
    const counter = (name: string, help: string, samples: number | readonly Sample[]): Metric => ({
      ...{ name, help, type: 'counter' },
      samples: typeof samples === 'number' ? [{ value: samples }] : samples,
    })
    const byDirection = ({ received, sent }: Flow, labels = {}): Sample[] => [
      { labels: { ...labels, direction: 'received' }, value: received },
      { labels: { ...labels, direction: 'sent' }, value: sent },
    ]
    return [
      { name: 'murmur_build_info', help: 'Version of Murmuration.', type: 'gauge', samples: [{ labels: { version }, value: 1 }] },
      gauge('murmur_round', 'The round in hand.', round),
      {
        ...{ name: 'murmur_phase', help: '1 for what the peer does now.', type: 'gauge' },
        samples: PHASES.map((name) => ({ labels: { phase: name }, value: Number(name === phase) })),
      },
      { name: 'murmur_round_duration_seconds', help: 'From one aggregation to the next.', type: 'histogram', histogram: rounds },
      { name: 'murmur_training_duration_seconds', help: 'Local training of a round.', type: 'histogram', histogram: training },
      { name: 'murmur_aggregation_duration_seconds', help: 'Aggregation of a round.', type: 'histogram', histogram: aggregation },
      counter('murmur_training_steps_total', 'Optimizer steps.', totals.steps),
      counter('murmur_training_samples_total', 'Samples trained on.', totals.samples),
      gauge('murmur_training_loss', 'Mean loss of the last local training.', loss.train),
      gauge('murmur_validation_loss', 'Loss of the own model on the own validation data.', loss.validation),
      gauge('murmur_validation_accuracy_ratio', 'Accuracy of the own model on the own validation data, 0 to 1.', accuracy),
      counter(
        'murmur_inputs_total',
        'Models that reached aggregation, by what became of them.',
        Object.entries(inputs).map(([fate, value]) => ({ labels: { fate }, value })),
      ),
      counter('murmur_payloads_received_total', 'Models of others that were pulled and passed the gate.', totals.payloads),
      counter('murmur_updates_published_total', 'Own updates announced, again after a restart included.', totals.published),
      counter(
        'murmur_rejections_total',
        'Messages, records and payloads that were not taken, by code.',
        Object.keys(REJECTIONS).map((code) => ({ labels: { code }, value: rejections.get(code as RejectionCode) ?? 0 })),
      ),
      counter(
        'murmur_warnings_total',
        'Warnings, by code.',
        Object.keys(ERROR_CODES).flatMap((code) => {
          const value = warnings.get(code as ErrorCode)
          return value === undefined ? [] : { labels: { code }, value }
        }),
      ),
      counter('murmur_equivocations_total', 'Members found to have signed two updates for one round.', totals.equivocations),
      counter('murmur_jumps_total', 'Times that this peer jumped ahead to the others.', totals.jumps),
      counter('murmur_network_bytes_total', 'Bytes on the wire, by direction.', byDirection(traffic)),
      counter(
        'murmur_protocol_bytes_total',
        'Bytes inside the streams, by protocol and direction.',
        PROTOCOL_NAMES.flatMap((protocol) => byDirection(protocols[protocol] ?? { received: 0, sent: 0 }, { protocol })),
      ),
      gauge('murmur_libp2p_peers', 'Peers that are connected over libp2p.', connections),
      gauge('murmur_topic_peers', 'Connected peers that work on this task.', connected),
      gauge('murmur_members', 'Members known, this peer included.', members),
      gauge('murmur_event_loop_delay_p99_seconds', 'Lateness of the event loop since the start, 99th percentile.', seconds(loopP99Millis)),
      gauge('process_resident_memory_bytes', 'Resident memory.', rss),
      gauge('nodejs_heap_size_used_bytes', "V8's heap in use.", heapUsed),
      counter('process_cpu_seconds_total', 'User and system CPU time.', (user + system) / 1e6),
      gauge('process_start_time_seconds', 'Start, in seconds since 1970.', Math.round(Date.now() / 1000 - process.uptime())),
    ]
  }

  return { note, text: (now) => expose(metrics(now)) }
}

const seconds = (millis: number | undefined): number | undefined => (millis === undefined ? undefined : millis / 1000)
