// What the peer does now in words and numbers, and the lists below the curves.
import { byId, definitions, make, mark, table, write } from './dom.js'
import { bytes, clock, counted, number, percent, short, whole } from './format.js'

/** @typedef {import('../state.ts').DashboardState} State */
/** @typedef {import('./store.js').Store} Store */

const STEPS = /** @type {const} */ ([
  ['training', 'trains'],
  ['gathering', 'gathers'],
  ['aggregating', 'aggregates'],
])

/** @param {State} state */
function sentenceOf({ phase, finished }) {
  const { round, phase: name, waitingFor, untilSeconds } = phase
  if (finished !== undefined && name === 'finished')
    return `Finished at round ${whole(finished.round)}: ${finished.reason}. It still serves the others.`
  const most = untilSeconds === undefined ? '' : `, ${whole(untilSeconds)} s at most`
  const what = waitingFor === undefined ? name : `${name}; waits for ${waitingFor}${most}`
  return round === 0 ? `${what.charAt(0).toUpperCase()}${what.slice(1)}` : `Round ${whole(round)}: ${what}`
}

/** The newest number of a column. @param {(number | null)[]} column */
const newestOf = (column) => column.findLast((value) => value !== null)

/** @param {Store} store */
export function showNow(store) {
  const steps = STEPS.map(([name, text]) => ({ name, item: make('li', {}, text) }))
  byId('steps').append(...steps.map(({ item }) => item))
  const tile = (/** @type {string} */ term) => {
    const value = make('span')
    const more = make('small')
    byId('tiles').append(make('div', {}, make('dt', {}, term), make('dd', {}, value, more)))
    return (/** @type {string} */ text, /** @type {string} */ note) => {
      write(value, text)
      write(more, note)
    }
  }
  const [accuracy, loss, peers, received, sent, memory] = ['Accuracy', 'Validation loss', 'Peers', 'Received', 'Sent', 'Memory'].map(tile)
  /** @type {State['traffic'] | undefined} */
  let before

  store.onChange((state, changed) => {
    if (changed.has('about') && state.about !== undefined) {
      const { name, peer, task, dir } = state.about
      write(byId('name'), name)
      write(byId('peer'), `Peer ${short(peer)} · network ${task.slice(0, 16)}… · ${dir}`)
      mark(byId('peer'), 'title', `${peer}\n${task}`)
      document.title = `${name} – Murmuration`
    }
    if (changed.has('phase') || changed.has('finished')) {
      write(byId('sentence'), sentenceOf(state))
      for (const { name, item } of steps) mark(item, 'aria-current', state.phase.phase === name ? 'step' : undefined)
    }
    if (changed.has('rounds') || changed.has('test')) {
      const { test, rounds } = state
      const median = newestOf(rounds.othersMedian)
      accuracy(
        percent(newestOf(rounds.accuracy)),
        test?.accuracy !== undefined
          ? `${percent(test.accuracy)} on the test set`
          : median == null
            ? 'own validation'
            : `others’ median ${percent(median)}`,
      )
      loss(number(newestOf(rounds.loss)), `training ${number(newestOf(rounds.trainLoss))}`)
    }
    if (changed.has('peers')) peers(whole(state.peers.connected), `connected, of ${counted(state.peers.members - 1, 'other')}`)
    if (changed.has('health'))
      memory(
        state.health === undefined ? '–' : bytes(state.health.rssBytes),
        `event loop late by ${state.health === undefined ? '–' : state.health.eventLoopP99Millis.toFixed(1)} ms (p99)`,
      )
    if (changed.has('traffic')) {
      const { traffic } = state
      const seconds = before === undefined ? 0 : (traffic.at - before.at) / 1000
      const rate = (/** @type {'received' | 'sent'} */ side) =>
        seconds > 0 && before !== undefined ? `${bytes((traffic[side] - before[side]) / seconds)}/s` : ''
      received(bytes(traffic.received), rate('received'))
      sent(bytes(traffic.sent), rate('sent'))
      if (before === undefined || traffic.at > before.at) before = { ...traffic }
    }
  })
}

/** @param {Store} store */
export function showLists(store) {
  const rejections = table(
    byId('rejections'),
    'Messages, records and payloads that were not taken',
    [{ name: 'code' }, { name: 'times', number: true }, { name: 'meaning' }, { name: 'last', number: true, spare: true }],
    { empty: 'Nothing has been turned away.' },
  )
  const evidence = table(
    byId('evidence'),
    'Evidence of misbehaviour',
    [{ name: 'peer', id: true }, { name: 'what it did' }, { name: 'round', number: true }],
    { empty: 'None: nobody has signed two updates for one round, or sent what an honest peer would not.' },
  )
  const traffic = table(byId('traffic'), 'Bytes by protocol', [{ name: 'protocol' }, { name: 'received' }, { name: 'sent' }], {
    empty: 'Nothing has been sent or received yet.',
  })

  store.onChange((state, changed) => {
    if (changed.has('rejections') || changed.has('about')) rejections(rejectionRows(state))
    if (changed.has('equivocations') || changed.has('accused')) evidence(evidenceRows(state))
    if (changed.has('protocols')) traffic(trafficRows(state))
    if (changed.has('traffic')) {
      write(
        byId('traffic-sum'),
        `${bytes(state.traffic.received)} received and ${bytes(state.traffic.sent)} sent on the wire since the start; inside the streams:`,
      )
    }
    if (changed.has('about') && state.about !== undefined) {
      for (const part of /** @type {const} */ (['model', 'data', 'rules'])) definitions(byId(part), state.about[part])
    }
    if (changed.has('log')) showLog(state.log)
  })
}

/** @param {State} state */
function rejectionRows({ rejections, about }) {
  return Object.entries(rejections)
    .sort(([, a], [, b]) => (b?.count ?? 0) - (a?.count ?? 0))
    .map(([code, { count, lastAt }]) => {
      const { why = '', fault = 'nobody' } = about?.reasons[code] ?? {}
      const tone = fault === 'nobody' ? 'muted' : 'bad'
      return {
        key: code,
        cells: [
          { text: code, tone },
          { text: whole(count) },
          { text: fault === 'nobody' ? why : `${why} (fault of the ${fault})` },
          { text: clock(lastAt) },
        ],
      }
    })
}

/** @param {State} state */
function evidenceRows({ equivocations, accused }) {
  return [
    ...Object.entries(equivocations).map(([peer, { round }]) => ({
      key: `equivocation ${peer}`,
      cells: [
        { text: short(peer), title: peer },
        { text: 'signed two different updates for one round; both are kept, and it is shut out everywhere', tone: 'bad' },
        { text: String(round) },
      ],
    })),
    ...Object.entries(accused).map(([peer, codes]) => ({
      key: `accused ${peer}`,
      cells: [
        { text: short(peer), title: peer },
        {
          text: Object.entries(codes)
            .map(([code, count]) => `${code} ×${whole(count ?? 0)}`)
            .join(', '),
          tone: 'warn',
        },
        { text: '' },
      ],
    })),
  ]
}

/** @param {State} state */
function trafficRows({ protocols }) {
  const flows = Object.entries(protocols).sort(([, a], [, b]) => b.received + b.sent - a.received - a.sent)
  const most = Math.max(1, ...flows.flatMap(([, { received, sent }]) => [received, sent]))
  return flows.map(([name, { received, sent }]) => ({
    key: name,
    cells: [{ text: name }, { text: bytes(received), bar: received / most }, { text: bytes(sent), bar: sent / most, side: 'sent' }],
  }))
}

/** Newest first. @param {State['log']} log */
function showLog(log) {
  byId('log').replaceChildren(
    ...log.toReversed().map(({ at, kind, text }) => {
      const tone = { plain: undefined, warn: 'warn', bad: 'bad' }[kind]
      return make(
        'li',
        {},
        make('time', { datetime: new Date(at).toISOString() }, clock(at)),
        make('span', tone === undefined ? {} : { 'data-tone': tone }, text),
      )
    }),
  )
}

/** @param {(path: string) => Promise<Response>} post */
export function showExport(post) {
  const button = /** @type {HTMLButtonElement} */ (byId('export'))
  button.addEventListener('click', async () => {
    button.disabled = true
    write(byId('export-state'), 'Exporting …')
    try {
      const response = await post('/model.onnx')
      if (!response.ok) throw new Error((await response.text()).trim())
      const [, name = 'model.onnx'] = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '') ?? []
      const model = await response.blob()
      const url = URL.createObjectURL(model)
      make('a', { href: url, download: name }).click()
      URL.revokeObjectURL(url)
      write(byId('export-state'), `${name}, ${bytes(model.size)}: the newest model, for inference.`)
    } catch (error) {
      write(byId('export-state'), `The model was not exported: ${error instanceof Error ? error.message : error}`)
    } finally {
      button.disabled = false
    }
  })
}
