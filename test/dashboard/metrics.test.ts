// What Prometheus and a supervisor are told.
import t from 'tap'
import { ERROR_CODES } from '../../protocol/errors.ts'
import { REJECTIONS } from '../../protocol/rejections.ts'
import { dashboard, peerName, roundEvents } from './stand-in.ts'

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABELS =
  '(?:\\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*")*\\})?'
const VALUE = '(?:[-+]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][-+]?\\d+)?|NaN|[-+]Inf)'
const SAMPLE = new RegExp(`^(${NAME})(${LABELS}) (${VALUE})$`)

/** The text format by its grammar: each family named once, its type before its samples. @throws where a line does not fit */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  const types = new Map<string, string>()
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const type = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram)$`).exec(line)
    if (type !== null) {
      if (types.has(type[1]!)) throw new Error(`${type[1]} is there twice`)
      types.set(type[1]!, type[2]!)
      continue
    }
    if (new RegExp(`^# HELP ${NAME} .+$`).test(line)) continue
    const [, name = '', labels = '', value = ''] = SAMPLE.exec(line) ?? []
    const family = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '')
    const kind = types.get(family)
    if (kind === undefined || (family !== name && kind !== 'histogram')) throw new Error(`of no family: ${line}`)
    if (kind === 'counter' && !name.endsWith('_total')) throw new Error(`a counter that is not called total: ${line}`)
    if (samples.has(name + labels)) throw new Error(`there twice: ${line}`)
    samples.set(name + labels, Number(value.replace('Inf', 'Infinity')))
  }
  return samples
}

t.test('metrics count what happened, in base units, under labels of closed sets', async (t) => {
  const { note, show, shown, ask } = await dashboard(t)
  show(shown)
  for (const round of [1, 2, 3]) for (const event of roundEvents(round, 4)) note(event)
  note({ type: 'rejected', code: 'bad-signature', from: peerName(1) })
  note({ type: 'rejected', code: 'bad-signature', from: peerName(2) })
  note({ type: 'warning', code: 'disk-failed', message: 'a "quoted"\nline' })
  note({ type: 'equivocation', author: peerName(3), round: 2 })
  note({ type: 'traffic', received: 5000, sent: 7000 })
  note({ type: 'health', rssBytes: 1, eventLoopP99Millis: 12.5 })
  note({ type: 'peers', connected: 4, members: 5 })
  const response = await ask('/metrics')
  t.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  const text = await response.text()
  const samples = parse(text)
  for (const [name, value] of Object.entries({
    murmur_round: 3,
    'murmur_phase{phase="gathering"}': 1,
    'murmur_phase{phase="training"}': 0,
    'murmur_training_duration_seconds_bucket{le="0.25"}': 0,
    'murmur_training_duration_seconds_bucket{le="0.5"}': 3,
    'murmur_training_duration_seconds_bucket{le="+Inf"}': 3,
    murmur_training_duration_seconds_sum: 1.5,
    murmur_round_duration_seconds_count: 2,
    murmur_training_steps_total: 60,
    'murmur_inputs_total{fate="accepted"}': 12,
    'murmur_inputs_total{fate="trimmed"}': 3,
    'murmur_rejections_total{code="bad-signature"}': 2,
    'murmur_rejections_total{code="flood"}': 0,
    'murmur_warnings_total{code="disk-failed"}': 1,
    murmur_equivocations_total: 1,
    'murmur_network_bytes_total{direction="received"}': 5000,
    'murmur_protocol_bytes_total{protocol="gossip",direction="sent"}': 20,
    'murmur_protocol_bytes_total{protocol="payload",direction="sent"}': 0,
    murmur_event_loop_delay_p99_seconds: 0.0125,
    murmur_libp2p_peers: 2,
    murmur_topic_peers: 4,
    murmur_members: 5,
  })) {
    t.equal(samples.get(name), value, name)
  }
  t.ok(samples.get('process_resident_memory_bytes')! > 1e6)
  const codes = [...text.matchAll(/code="([^"]*)"/g)].map(([, code]) => code!)
  t.ok(codes.every((code) => code in REJECTIONS || code in ERROR_CODES))
  t.notMatch(text, /12D3KooW/, 'no peer is named')
})

t.test('health says ready once the peer is up, and that it lives before; the open port shows that and metrics, nothing else', async (t) => {
  const { note, show, shown, origin, metricsPort } = await dashboard(t, { metricsPort: 0 })
  const starting = await fetch(`${origin}/health`)
  t.equal(starting.status, 503)
  t.match(await starting.json(), { live: true, ready: false, phase: 'starting' })
  t.equal((await fetch(`${origin}/health/live`)).status, 200)
  show(shown)
  note({ type: 'phase', round: 7, phase: 'training' })
  const open = `http://127.0.0.1:${metricsPort}`
  const ready = await fetch(`${open}/health`)
  t.equal(ready.status, 200)
  const line = await ready.text()
  t.equal(line.trimEnd().includes('\n'), false, 'one line')
  t.strictSame(JSON.parse(line), { live: true, ready: true, phase: 'training', round: 7, connected: 0 })
  t.equal(parse(await (await fetch(`${open}/metrics`)).text()).get('murmur_round'), 7)
  for (const path of ['/', '/events', '/rounds/1', '/model.onnx', '/main.js']) t.equal((await fetch(open + path)).status, 404, path)
})
