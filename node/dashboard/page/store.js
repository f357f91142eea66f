// The state as the peer told it: whole once, then change by change. Views are told what has changed, at most once a frame.

/** @typedef {import('../state.ts').DashboardState} State */
/** @typedef {import('../state.ts').Change} Change */

/** As the peer keeps them; beyond this many rounds the oldest go. */
const ROUNDS_KEPT = 5000
const SLACK = 250
const LOG_KEPT = 200

/** @typedef {{ state: State | undefined, onChange(listener: (state: State, changed: ReadonlySet<string>) => void): void, take(snapshot: State): void, apply(changes: readonly Change[]): void, touch(name: string): void }} Store */

/** @returns {Store} */
export function createStore() {
  /** @type {Set<(state: State, changed: ReadonlySet<string>) => void>} */
  const listeners = new Set()
  /** @type {Set<string>} */
  let changed = new Set()
  let isDue = false

  /** @param {string} name */
  function touch(name) {
    changed.add(name)
    if (isDue) return
    isDue = true
    requestAnimationFrame(() => {
      isDue = false
      const now = changed
      changed = new Set()
      if (store.state === undefined) return
      for (const listener of listeners) listener(store.state, now)
    })
  }

  /** @type {Store} */
  const store = {
    state: undefined,
    touch,
    onChange: (listener) => void listeners.add(listener),
    take(snapshot) {
      store.state = snapshot
      for (const name of [...Object.keys(snapshot), 'inputs']) touch(name)
    },
    apply(changes) {
      const { state } = store
      if (state === undefined) return
      for (const change of changes) touch(applyTo(state, change))
    },
  }
  return store
}

/** @param {State} state @param {Change} change @returns {string} what has changed */
function applyTo(state, change) {
  if ('set' in change) {
    Object.assign(state, { [change.set]: change.value })
    return change.set
  }
  if ('put' in change) {
    const map = /** @type {Record<string, unknown>} */ (state[change.put])
    if (change.value === undefined) delete map[change.key]
    else map[change.key] = change.value
    return change.put
  }
  if ('log' in change) {
    state.log.push(change.log)
    if (state.log.length > LOG_KEPT) state.log.shift()
    return 'log'
  }
  putRow(/** @type {Record<string, (number | null)[]>} */ (state.rounds), change.round)
  return 'rounds'
}

/** The columns lie in the order of the row, its round first. @param {Record<string, (number | null)[]>} columns @param {(number | null)[]} row */
function putRow(columns, row) {
  const rounds = /** @type {number[]} */ (columns.round)
  const round = /** @type {number} */ (row[0])
  let at = rounds.length
  while (at > 0 && rounds[at - 1] >= round) at--
  const isNew = rounds[at] !== round
  Object.values(columns).forEach((column, i) => void column.splice(at, isNew ? 0 : 1, row[i]))
  if (rounds.length > ROUNDS_KEPT + SLACK) for (const column of Object.values(columns)) column.splice(0, SLACK)
}
