// The peer's events, over fetch rather than EventSource: the key goes in a header, where no log or history keeps it.

/** Milliseconds between two tries: at first, and at most. */
const RETRY_MILLIS = 1000
const LONGEST_RETRY_MILLIS = 15_000
/** Silence after which a stream is taken for dead: the peer sends a sign of life every 15 s. */
const SILENT_MILLIS = 40_000

const KEY = 'murmur-token'

/** The key from the link; kept for reloads of this tab, and taken out of the address, which others may see. */
export function takeToken() {
  const given = location.hash.slice(1)
  if (given !== '') {
    sessionStorage.setItem(KEY, given)
    history.replaceState(null, '', location.pathname)
  }
  return sessionStorage.getItem(KEY) ?? ''
}

/** @param {string} path @param {string} token @param {RequestInit} [options] */
export const ask = (path, token, options = {}) =>
  fetch(path, { ...options, headers: { ...options.headers, authorization: `Bearer ${token}` }, cache: 'no-store' })

/**
 * @param {string} token
 * @param {{ onSnapshot(state: any): void, onChanges(changes: any[]): void, onState(state: 'live' | 'lost' | 'refused'): void }} handlers
 */
export async function follow(token, { onSnapshot, onChanges, onState }) {
  /** @type {string | undefined} */
  let lastId
  let wait = RETRY_MILLIS
  for (;;) {
    const stopping = new AbortController()
    let watchdog = setTimeout(() => stopping.abort(), SILENT_MILLIS)
    try {
      const response = await ask('/events', token, {
        signal: stopping.signal,
        headers: lastId === undefined ? {} : { 'last-event-id': lastId },
      })
      if (response.status === 401) return onState('refused')
      if (!response.ok || response.body === null) throw new Error(`status ${response.status}`)
      onState('live')
      wait = RETRY_MILLIS
      for await (const message of messagesOf(response.body)) {
        clearTimeout(watchdog)
        watchdog = setTimeout(() => stopping.abort(), SILENT_MILLIS)
        if (message.data === undefined) continue
        if (message.event === 'snapshot') onSnapshot(JSON.parse(message.data))
        else onChanges(JSON.parse(message.data))
        lastId = message.id ?? lastId
      }
    } catch {
      // Told below, as for a stream that has ended.
    } finally {
      clearTimeout(watchdog)
    }
    onState('lost')
    await new Promise((done) => setTimeout(done, wait))
    wait = Math.min(2 * wait, LONGEST_RETRY_MILLIS)
  }
}

/** Messages of a stream of server-sent events; a comment is one without data. @param {ReadableStream<Uint8Array>} body */
async function* messagesOf(body) {
  const reader = body
    .pipeThrough(/** @type {TransformStream<Uint8Array, string>} */ (/** @type {unknown} */ (new TextDecoderStream())))
    .getReader()
  /** @type {string[]} */
  let parts = []
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    // A snapshot comes in many pieces: they are joined once its end is here.
    if (!value.includes('\n') && parts.length > 0 && !value.startsWith('\n')) {
      parts.push(value)
      continue
    }
    const messages = [...parts, value].join('').split('\n\n')
    const rest = messages.pop() ?? ''
    parts = rest === '' ? [] : [rest]
    for (const text of messages) yield parse(text)
  }
}

/** @param {string} text @returns {{ id?: string, event?: string, data?: string }} */
const parse = (text) =>
  Object.fromEntries(
    text
      .split('\n')
      .filter((line) => /^(id|event|data): /.test(line))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  )
