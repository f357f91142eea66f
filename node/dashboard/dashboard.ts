// The dashboard of a running peer: a page on loopback behind a token, its stream of events, metrics and health.
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { PeerEvent } from '../events.ts'
import type { MemberStatus } from '../peer/status.ts'
import type { Flow } from '../ports.ts'
import { readHappenings, readHistory, readInputs, readRejectionTotals } from '../store/history.ts'
import { EXPOSITION_TYPE } from './exposition.ts'
import { isPageFile, readPageFile } from './files.ts'
import { answer, type HttpServer, newToken, type Route, serveHttp } from './http.ts'
import { createMetrics } from './metrics.ts'
import { ROUNDS_KEPT } from './rounds.ts'
import { type About, createState, type Past } from './state.ts'
import { createStream } from './stream.ts'

/** Rejections by code and author that are read back at a start, and lines of the log. */
const TOTALS_READ = 2000
const HAPPENINGS_READ = 200

const JSON_TYPE = 'application/json; charset=utf-8'

/** The peer, once it is up. */
export interface Shown {
  about: About
  members(): MemberStatus[]
  connections(): number
  protocols(): Record<string, Flow>
  /** Bytes of payloads sent, by peer. */
  served: ReadonlyMap<PeerId, number>
  /** The newest model as ONNX. */
  exported(): { name: string; bytes: Uint8Array }
}

export interface DashboardOptions {
  dir: string
  /** Of the page; 0: any that is free. Undefined: no page. */
  port?: number
  /** Of metrics and health without a token. */
  metricsPort?: number
  /** Milliseconds since 1970. */
  wall(): number
  /** Something is missing, and the peer goes on without it. */
  onWarning(error: MurmurError): void
}

export interface Dashboard {
  /** With the token in its fragment, which no browser sends or tells another site; undefined where there is no page. */
  readonly link: string | undefined
  /** Where metrics and health are open to whoever is on this machine. */
  readonly metricsPort: number | undefined
  note(event: PeerEvent): void
  show(peer: Shown): void
  stop(): Promise<void>
}

/** Never throws: a port that is taken costs the page, not the peer. */
export async function createDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { dir, wall, onWarning } = options
  const watched = createState(readPast(dir, onWarning))
  const stream = createStream(() => watched.state)
  const metrics = createMetrics(version())
  const token = newToken()
  let shown: Shown | undefined
  let isStopping = false

  /** What is asked for rather than told: at each beat of the peer, while someone looks. */
  function look(): void {
    if (shown === undefined) return
    stream.tell(watched.look({ members: shown.members(), protocols: shown.protocols(), served: shown.served }))
  }

  const health: Route = {
    method: 'GET',
    open: true,
    answer(_, response) {
      const { round, phase } = watched.state.phase
      const ready = shown !== undefined && !isStopping
      const body = { live: true, ready, phase: isStopping ? 'stopped' : phase, round, connected: watched.state.peers.connected }
      answer(response, ready ? 200 : 503, JSON_TYPE, `${JSON.stringify(body)}\n`)
    },
  }
  /** For a supervisor that restarts what does not answer: one that starts, or waits for others, is not to be restarted. */
  const live: Route = { method: 'GET', open: true, answer: (_, response) => answer(response, 200, JSON_TYPE, '{"live":true}\n') }
  const scrape: Route = {
    method: 'GET',
    answer(_, response) {
      const now = { connections: shown?.connections() ?? 0, members: watched.state.peers.members, protocols: shown?.protocols() ?? {} }
      answer(response, 200, EXPOSITION_TYPE, metrics.text(now))
    },
  }
  const events: Route = {
    method: 'GET',
    answer({ isHead, headers }, response) {
      if (isHead) return answer(response, 200, 'text/event-stream', '')
      look()
      const lastId = headers['last-event-id']
      if (stream.watch(response, typeof lastId === 'string' ? lastId : undefined)) return
      answer(response, 503, 'text/plain; charset=utf-8', 'Too many pages watch this peer; close one.\n', { 'retry-after': '5' })
    },
  }
  const page: Route = {
    method: 'GET',
    open: true,
    async answer({ path }, response) {
      const { type, bytes } = await readPageFile(path)
      answer(response, 200, type, bytes)
    },
  }
  const model: Route = { method: 'POST', answer: (_, response) => sendModel(response) }

  function sendModel(response: ServerResponse): void {
    if (shown === undefined) throw new MurmurError('not-running', 'The peer is still starting; there is no model yet.')
    const { name, bytes } = shown.exported()
    answer(response, 200, 'application/octet-stream', bytes, { 'content-disposition': `attachment; filename="${name}"` })
  }

  const round: Route = {
    method: 'GET',
    answer({ path }, response) {
      const number = Number(path.slice(path.lastIndexOf('/') + 1))
      answer(response, 200, JSON_TYPE, JSON.stringify({ round: number, rows: readInputs(dir, number) }))
    },
  }

  const open: Record<string, Route> = { '/health': health, '/health/live': live, '/metrics': scrape }
  const behindToken: Record<string, Route> = { ...open, '/events': events, '/model.onnx': model }

  function route(path: string): Route | undefined {
    if (Object.hasOwn(behindToken, path)) return behindToken[path]
    if (/^\/rounds\/\d{1,9}$/.test(path)) return round
    return isPageFile(path) ? page : undefined
  }

  async function serve(port: number | undefined, what: string, ...how: [route: (path: string) => Route | undefined, token?: string]) {
    if (port === undefined) return undefined
    return await serveHttp(port, ...how).catch((error: MurmurError) => {
      onWarning(
        new MurmurError('port-in-use', `${error.message.replace(/[;.][^;.]*$/, '')}: the peer goes on without its ${what}.`, {
          cause: error,
        }),
      )
      return undefined
    })
  }

  const site = await serve(options.port, 'dashboard', route, token)
  const scraped = await serve(options.metricsPort, 'metrics', (path) => (Object.hasOwn(open, path) ? open[path] : undefined))

  return {
    link: site && `http://127.0.0.1:${site.port}/#${token}`,
    metricsPort: scraped?.port,
    note(event) {
      const at = wall()
      metrics.note(event, at)
      stream.tell(watched.note(event, at))
      if (event.type === 'traffic' && stream.isWatched()) look()
    },
    show(peer) {
      shown = peer
      stream.tell(watched.about(peer.about))
    },
    async stop() {
      isStopping = true
      stream.stop()
      await Promise.all([site, scraped].map((server: HttpServer | undefined) => server?.stop()))
    },
  }
}

function readPast(dir: string, onWarning: (error: MurmurError) => void): Past {
  try {
    return {
      rounds: readHistory(dir, ROUNDS_KEPT),
      rejections: readRejectionTotals(dir, TOTALS_READ),
      happenings: readHappenings(dir, HAPPENINGS_READ),
    }
  } catch (error) {
    if (!(error instanceof MurmurError)) throw error
    onWarning(error)
    return { rounds: [], rejections: [], happenings: [] }
  }
}

/** Of the package: this file lies at one depth in the sources and at another where it was built. */
function version(): string {
  const file = [new URL('../../package.json', import.meta.url), new URL('../../../package.json', import.meta.url)]
  for (const url of file) {
    try {
      return String((JSON.parse(readFileSync(url, 'utf8')) as { version: unknown }).version)
    } catch {
      // It is the other one.
    }
  }
  return 'unknown'
}
