// What a person sees of a running demo: a live table on a terminal, plain lines elsewhere.

import { styleText } from 'node:util'
import Table from 'cli-table3'
import { createLogUpdate } from 'log-update'
import type { PeerEvent } from '../events.ts'
import type { NetworkWatch, PeerView } from './demo-network.ts'
import { megabytes, metrics, percent } from './format.ts'

/** Redraws a second: smooth enough, and no work for the peers' cores. */
const REDRAW_MILLIS = 250
/** Plain output says something at least this often. */
const SILENCE_MILLIS = 4000

export interface DemoView extends NetworkWatch {
  /** Leaves the last table standing. */
  end(): void
}

export function createView(out: NodeJS.WriteStream, title: string): DemoView {
  return out.isTTY ? liveTable(out, title) : plainLines(out, title)
}

function liveTable(out: NodeJS.WriteStream, title: string): DemoView {
  const log = createLogUpdate(out)
  let peers: readonly PeerView[] = []
  const began = performance.now()
  const draw = () =>
    log(`${styleText('bold', title)}  ${((performance.now() - began) / 1000).toFixed(0)} s\n${render(peers, out.columns ?? 80)}`)
  const timer = setInterval(draw, REDRAW_MILLIS)
  return {
    onStart(started) {
      peers = started
      draw()
    },
    onEvent() {},
    end() {
      clearInterval(timer)
      draw()
      log.done()
    },
  }
}

/** The table: one row a peer. Narrow terminals lose the columns that matter least. */
function render(peers: readonly PeerView[], columns: number): string {
  const wide = columns >= 118
  const head = ['peer', 'round', 'now', 'peers', 'acc/trim/rej', 'loss', 'val. acc.', ...(wide ? ['received'] : [])]
  const table = new Table({ head, style: { head: [], border: [], compact: true }, wordWrap: true })
  for (const peer of peers) {
    const { aggregated, trained, evaluated, peers: links, phase } = peer.last
    const name = peer.attacker ? styleText('red', `${peer.index} attacker`) : `${peer.index} …${peer.id.slice(-6)}`
    const counts = aggregated === undefined ? '' : `${aggregated.accepted}/${aggregated.trimmed}/${aggregated.rejected}`
    const row = [
      name,
      String(phase?.round ?? ''),
      activity(peer),
      String(links?.connected ?? 0),
      counts,
      trained?.loss.toFixed(4) ?? '',
      percent(evaluated?.accuracy),
    ]
    table.push(wide ? [...row, megabytes(peer.received)] : row)
  }
  return table.toString()
}

function activity({ last }: PeerView): string {
  if (last.finished) return 'finished'
  const { phase } = last
  if (phase === undefined) return last.ready ? 'ready' : 'starting'
  return phase.waitingFor === undefined ? phase.phase : `waiting: ${phase.waitingFor}`
}

function plainLines(out: NodeJS.WriteStream, title: string): DemoView {
  let last = performance.now()
  const say = (text: string) => {
    last = performance.now()
    out.write(`${text}\n`)
  }
  let peers: readonly PeerView[] = []
  const timer = setInterval(() => {
    if (performance.now() - last < SILENCE_MILLIS) return
    say(
      `  ${peers.map((peer) => `${peer.index}: ${peer.last.phase ? `round ${peer.last.phase.round} ` : ''}${activity(peer)}`).join('; ')}`,
    )
  }, 500)
  return {
    onStart(started) {
      peers = started
      say(title)
    },
    onEvent(peer, event: PeerEvent) {
      const who = `  peer ${peer.index}${peer.attacker ? ' (attacker)' : ''}`
      if (event.type === 'ready') say(`${who}: up at ${event.addresses[0] ?? '?'}`)
      else if (event.type === 'warning') say(`${who}: ${event.message}`)
      else if (event.type === 'finished') say(`${who}: finished at round ${event.round}`)
      else if (event.type === 'evaluated' && event.split === 'validation') {
        const { aggregated, trained } = peer.last
        const counts =
          aggregated === undefined
            ? ''
            : `${aggregated.accepted} accepted, ${aggregated.trimmed} trimmed, ${aggregated.rejected} rejected; `
        say(
          `${who}: round ${event.round}: ${counts}loss ${trained?.loss.toFixed(4) ?? '?'}, validation ${metrics(event)}, ${megabytes(peer.received)} received`,
        )
      }
    },
    end: () => clearInterval(timer),
  }
}
