// The peers as a graph: this one in the middle, the others in rings around it; what flowed between it and each of them.
import { make, mark, watchSight, write } from './dom.js'
import { bytes, percent, short } from './format.js'

/** @typedef {import('../state.ts').DashboardState} State */
/** @typedef {{ peer: string, fate: Fate, weight: number, why: string, round: number | undefined, x: number, y: number }} Node */
/** @typedef {'accepted' | 'trimmed' | 'dropped' | 'idle' | 'away' | 'shut-out'} Fate */

/** Peers on the innermost ring; each further one holds half as many more. */
const FIRST_RING = 20
/** Up to this many, each has its name beside it. */
const NAMED = 24
const KEY = /** @type {const} */ ([
  ['accepted', 'ok', 'its model counts'],
  ['trimmed', 'warn', 'trimmed: less than half of an equal share'],
  ['dropped', 'bad', 'without part in the result, or shut out', 'cross'],
  ['idle', 'muted', 'connected'],
  ['away', 'muted', 'not connected', 'away'],
])
const COLORS = /** @type {const} */ ({ accepted: 'ok', trimmed: 'warn', dropped: 'bad', 'shut-out': 'bad', idle: 'muted', away: 'idle' })

const TONES = ['ok', 'warn', 'bad', 'muted', 'idle', 'accent', 'others', 'text', 'card']

/** What became of each other peer's model in the newest aggregation. @param {State} state @returns {Map<string, { fate: Fate, weight: number, why: string, round: number }>} */
export function fatesOf({ inputs, about }) {
  const rows = inputs?.rows ?? []
  return new Map(
    rows
      .filter(({ author }) => author !== about?.peer)
      .map(({ author, weight, kept, why, round }) => [
        author,
        { fate: kept ? (weight < 0.5 / rows.length ? 'trimmed' : 'accepted') : 'dropped', weight, why, round },
      ]),
  )
}

/** @param {State} state @param {string} peer */
export function described(state, peer) {
  const member = state.members[peer]
  const used = fatesOf(state).get(peer)
  const pulled = state.pulled[peer]
  const served = state.served[peer] ?? 0
  const by = (pulled?.from ?? []).map((from) => (from === peer ? 'itself' : short(from)))
  return [
    `${short(peer)}: ${member === undefined ? 'unknown' : member.shutOut ? 'shut out' : member.connected ? 'connected' : 'not connected'}`,
    member === undefined || member.round === 0 ? '' : `newest update of round ${member.round}`,
    used === undefined ? '' : `in round ${state.inputs?.round} its weight was ${percent(used.weight)} (${used.why})`,
    pulled === undefined
      ? ''
      : `its model of round ${pulled.round} came ${by.length === 0 ? 'beside its announcement' : `from ${by.join(' and ')}`}`,
    served === 0 ? '' : `it pulled ${bytes(served)} from this peer`,
  ]
    .filter((part) => part !== '')
    .join('; ')
}

/** @param {HTMLElement} parent @param {import('./store.js').Store} store @param {{ chosen(): string | undefined, choose(peer: string | undefined): void }} choice */
export function showGraph(parent, store, choice) {
  const canvas = make('canvas', { tabindex: '0', role: 'img' })
  const about = make('p', { 'aria-live': 'polite' })
  const key = KEY.map(([, tone, text, shape]) =>
    make('span', { 'data-tone': tone, ...(shape && { 'data-shape': shape }) }, make('i'), text),
  )
  const arrows = make(
    'span',
    {},
    'Solid lines: models that came here. Dashed outward: this peer’s models, pulled by others. Dotted: models that came from another holder than their author.',
  )
  parent.append(canvas, about, make('div', { class: 'key' }, ...key, arrows))
  /** @type {Node[]} */
  let nodes = []
  /** As observed: to ask for it at each draw would have the page laid out each time. */
  let width = 0
  const isSeen = watchSight(canvas, () => store.touch('graph'))

  /** @param {State} state @param {number} width @param {number} height */
  function place(state, width, height) {
    const fates = fatesOf(state)
    const peers = Object.values(state.members).sort((a, b) => (a.peer < b.peer ? -1 : 1))
    const sizes = []
    for (let left = peers.length, size = FIRST_RING; left > 0; left -= size, size += FIRST_RING / 2) sizes.push(Math.min(left, size))
    const outer = Math.min(width, height) / 2 - (peers.length <= NAMED ? 34 : 12)
    const wide = Math.max(0, Math.min(1.7, (width / 2 - 40) / Math.max(1, outer)))
    nodes = []
    let next = 0
    sizes.forEach((size, ring) => {
      const radius = outer * (sizes.length === 1 ? 1 : 0.42 + (0.58 * ring) / (sizes.length - 1))
      for (let i = 0; i < size; i++) {
        const member = peers[next++]
        const angle = (2 * Math.PI * (i + ring / 2)) / size - Math.PI / 2
        const used = fates.get(member.peer)
        const fate = member.shutOut ? 'shut-out' : (used?.fate ?? (member.connected ? 'idle' : 'away'))
        nodes.push({
          ...{ peer: member.peer, fate, weight: used?.weight ?? 0, why: used?.why ?? '', round: used?.round },
          ...{ x: width / 2 + Math.cos(angle) * radius * wide, y: height / 2 + Math.sin(angle) * radius },
        })
      }
    })
  }

  /** @param {State} state */
  function draw(state) {
    if (width === 0 || !isSeen()) return
    const height = Math.round(Math.min(420, Math.max(260, width * 0.62)))
    const scale = devicePixelRatio || 1
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale)
      canvas.height = Math.round(height * scale)
      canvas.style.height = `${height}px`
    }
    place(state, width, height)
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))
    context.setTransform(scale, 0, 0, scale, 0, 0)
    context.clearRect(0, 0, width, height)
    const style = getComputedStyle(document.documentElement)
    const colors = new Map(TONES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]))
    const color = (/** @type {string} */ name) => colors.get(name) ?? ''
    const center = { x: width / 2, y: height / 2 }
    const size = nodes.length <= NAMED ? 8 : nodes.length <= 80 ? 6 : 4
    drawEdges(context, state, center, color)
    for (const node of nodes) drawNode(context, node, size, color, node.peer === choice.chosen())
    context.fillStyle = color('accent')
    circle(context, center, size + 4)
    context.fill()
    context.font = '12px system-ui, sans-serif'
    context.textAlign = 'center'
    context.fillStyle = color('text')
    context.fillText('this peer', center.x, center.y + size + 20)
    if (nodes.length <= NAMED)
      for (const node of nodes) context.fillText(short(node.peer).slice(-4), node.x, node.y + (node.y < center.y ? -14 : 22))
    const used = nodes.filter(({ fate }) => fate === 'accepted' || fate === 'trimmed').length
    mark(
      canvas,
      'aria-label',
      `This peer and ${nodes.length} others; the newest round used the models of ${used}. Arrow keys go from one to the next.`,
    )
  }

  /** @param {CanvasRenderingContext2D} context @param {State} state @param {{ x: number, y: number }} center @param {(name: string) => string} color */
  function drawEdges(context, state, center, color) {
    const count = nodes.filter(({ weight }) => weight > 0).length + 1
    const byPeer = new Map(nodes.map((node) => [node.peer, node]))
    for (const node of nodes) {
      if ((state.served[node.peer] ?? 0) > 0) {
        context.strokeStyle = color('accent')
        context.globalAlpha = 0.55
        context.lineWidth = 1
        context.setLineDash([5, 4])
        curve(context, center, node, 0.12)
      }
      context.setLineDash([])
      context.globalAlpha = 1
      if (node.fate === 'idle' || node.fate === 'away' || node.fate === 'shut-out') continue
      context.strokeStyle = color(COLORS[node.fate])
      // An equal share is as wide as leaves room for the others'.
      context.lineWidth = Math.min(7, Math.max(0.5, (count <= NAMED ? 2 : 0.9) * node.weight * count))
      curve(context, node, center, 0)
      context.strokeStyle = color('others')
      context.lineWidth = 1
      context.setLineDash([1.5, 3])
      for (const from of state.pulled[node.peer]?.from ?? []) {
        const holder = byPeer.get(from)
        if (holder !== undefined && holder !== node) curve(context, node, holder, 0.2)
      }
      context.setLineDash([])
    }
  }

  /** @param {-1 | 1} by */
  function step(by) {
    if (nodes.length === 0) return
    const at = nodes.findIndex(({ peer }) => peer === choice.chosen())
    choice.choose(nodes[(at + by + nodes.length) % nodes.length]?.peer)
  }

  canvas.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowRight' || event.key === 'ArrowDown') step(1)
    else if (event.key === 'ArrowLeft' || event.key === 'ArrowUp') step(-1)
    else if (event.key === 'Escape') choice.choose(undefined)
    else return
    event.preventDefault()
  })
  canvas.addEventListener('click', ({ offsetX, offsetY }) => {
    const near = nodes.map((node) => ({ node, far: Math.hypot(node.x - offsetX, node.y - offsetY) })).sort((a, b) => a.far - b.far)[0]
    choice.choose(near !== undefined && near.far < 24 ? near.node.peer : undefined)
  })
  new ResizeObserver(([entry]) => {
    width = Math.floor(entry.contentRect.width)
    store.touch('graph')
  }).observe(parent)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => store.touch('graph'))

  store.onChange((state, changed) => {
    if (!['graph', 'members', 'inputs', 'pulled', 'served', 'about', 'chosen'].some((name) => changed.has(name))) return
    draw(state)
    const chosen = choice.chosen()
    write(
      about,
      chosen === undefined
        ? 'Choose a peer, by click or with the arrow keys, to see what passed between it and this one.'
        : described(state, chosen),
    )
  })
}

/** @param {CanvasRenderingContext2D} context @param {{ x: number, y: number }} at @param {number} radius */
function circle(context, at, radius) {
  context.beginPath()
  context.arc(at.x, at.y, radius, 0, 2 * Math.PI)
}

/** A line, bent by a share of its length. @param {CanvasRenderingContext2D} context @param {{ x: number, y: number }} from @param {{ x: number, y: number }} to @param {number} bend */
function curve(context, from, to, bend) {
  context.beginPath()
  context.moveTo(from.x, from.y)
  context.quadraticCurveTo((from.x + to.x) / 2 - (to.y - from.y) * bend, (from.y + to.y) / 2 + (to.x - from.x) * bend, to.x, to.y)
  context.stroke()
}

/** Shapes differ as well as colours. @param {CanvasRenderingContext2D} context @param {Node} node @param {number} size @param {(name: string) => string} color @param {boolean} isChosen */
function drawNode(context, node, size, color, isChosen) {
  const tone = color(COLORS[node.fate])
  context.strokeStyle = tone
  context.lineWidth = 2
  context.setLineDash(node.fate === 'away' ? [3, 3] : [])
  context.fillStyle = node.fate === 'accepted' ? tone : color('card')
  circle(context, node, size)
  context.fill()
  context.stroke()
  context.setLineDash([])
  if (node.fate === 'dropped' || node.fate === 'shut-out') {
    const half = size * 0.6
    context.beginPath()
    context.moveTo(node.x - half, node.y - half)
    context.lineTo(node.x + half, node.y + half)
    context.moveTo(node.x + half, node.y - half)
    context.lineTo(node.x - half, node.y + half)
    context.stroke()
  }
  if (node.fate === 'trimmed') {
    context.fillStyle = tone
    context.beginPath()
    context.arc(node.x, node.y, size, Math.PI / 2, (3 * Math.PI) / 2)
    context.fill()
  }
  if (!isChosen) return
  context.strokeStyle = color('text')
  circle(context, node, size + 4)
  context.stroke()
}
