// One peer's events as lines for a person, or as JSON lines for a program.

import { REJECTIONS } from '../../protocol/rejections.ts'
import type { PeerEvent } from '../events.ts'
import { isLocalAddress } from '../host/addresses.ts'
import { megabytes, metrics, percent, seconds } from './format.ts'

/** Seconds of silence after which what is waited for is said (again). */
const SILENCE_MILLIS = 4000

export interface Printer {
  event(event: PeerEvent): void
  progress(text: string): void
}

export function createPrinter(json: boolean): Printer {
  let lastLine = performance.now()
  let received = 0
  let addresses = ''
  const rejected = new Map<string, number>()
  const line = (text: string) => {
    lastLine = performance.now()
    process.stdout.write(`${text}\n`)
  }

  function describe(event: PeerEvent): string | undefined {
    switch (event.type) {
      case 'ready':
        addresses = event.addresses.join()
        return [
          `Peer …${event.peer.slice(-8)} of "${event.name}" is up${event.resumed ? `, resumed at round ${event.round}` : ''}; its directory is ${event.dir}`,
          ...event.addresses.map((address) => `  reachable ${isLocalAddress(address) ? 'from this machine' : 'from others'} at ${address}`),
          ...joining(event.joinLine),
          ...(event.dashboard === undefined ? [] : ['Its dashboard, for your eyes only:', `  ${event.dashboard}`]),
        ].join('\n')
      case 'addresses': {
        const isNew = addresses !== event.addresses.join()
        addresses = event.addresses.join()
        // Else it is another invite.
        const where = ['Where others can reach this peer has changed:', ...event.addresses.map((address) => `  ${address}`)]
        return [...(isNew ? where : []), ...joining(event.joinLine)].join('\n')
      }
      case 'member': {
        const who = `${event.role === 'admin' ? 'Admin' : 'Peer'} …${event.peer.slice(-8)}`
        if (event.member) return `${who} is a member now`
        return `${who} is no member any more: ${event.why === 'expired' ? 'its membership has ended' : 'its membership was taken back'}`
      }
      case 'synced':
        return event.adopted
          ? `Took over the state of ${event.inputs} others at round ${event.to}, from round ${event.from}`
          : `Looked at the state of ${event.inputs} others at round ${event.to}; the own one does better and stays`
      case 'peers':
        return `Connected to ${event.connected} ${event.connected === 1 ? 'peer' : 'peers'}`
      case 'trained':
        return `Round ${event.round}: trained ${event.steps} steps in ${seconds(event.seconds)}, loss ${event.loss.toFixed(4)}`
      case 'aggregated': {
        const influence = event.influence === undefined ? '' : `, attackers moved it by ${percent(event.influence)}`
        return `Round ${event.round}: ${event.rule} of ${event.inputs.length} models: ${event.accepted} accepted, ${event.trimmed} trimmed, ${event.rejected} rejected${influence}`
      }
      case 'evaluated':
        return `Round ${event.round}: ${event.split} ${metrics(event)} on ${event.samples} samples; ${megabytes(received)} received so far`
      case 'jumped':
        return `Jumped from round ${event.from} to ${event.to}, where the others are`
      case 'equivocation':
        return `Peer …${event.author.slice(-8)} signed two different updates for round ${event.round}: shut out`
      case 'warning':
        return `Warning: ${event.message}`
      case 'finished':
        return `Finished at round ${event.round}: ${event.reason}${event.model === undefined ? '' : `\n  model: ${event.model}`}`
      case 'stopped':
        return `Stopped at round ${event.round}. Go on with: ${event.resume}`
      case 'phase':
        // Nothing is waited for once it has finished.
        return event.phase === 'finished' || performance.now() - lastLine < SILENCE_MILLIS ? undefined : describePhase(event)
      case 'rejected': {
        const times = (rejected.get(event.code) ?? 0) + 1
        rejected.set(event.code, times)
        // Duplicates and stale records are everyday; of the rest the first, and then each tenfold, is worth a line.
        if (REJECTIONS[event.code].fault === 'nobody' || !/^10*$/.test(String(times))) return undefined
        return `Rejected (${event.code}, ${times} so far): ${REJECTIONS[event.code].why}${event.author === undefined ? '' : `, by …${event.author.slice(-8)}`}`
      }
      case 'traffic':
        received = event.received
        return undefined
      default:
        return undefined
    }
  }

  return {
    event(event) {
      if (json) process.stdout.write(`${JSON.stringify(event)}\n`)
      else {
        const text = describe(event)
        if (text !== undefined) line(text)
      }
    },
    progress(text) {
      if (json) process.stderr.write(`${text}\n`)
      else line(text)
    },
  }
}

/** How others join; nothing as long as nobody can dial this peer or any that it knows. */
const joining = (line: string): string[] =>
  line === ''
    ? ['No address is known that others could dial; the line to join with comes with the first.']
    : ['Others join with:', `  npx murmur join ${line} --data ...`]

function describePhase(event: Extract<PeerEvent, { type: 'phase' }>): string {
  const until = event.untilSeconds === undefined ? '' : `, ${event.untilSeconds} s at most`
  return event.waitingFor === undefined
    ? `Round ${event.round}: ${event.phase} ...`
    : `Round ${event.round}: waiting for ${event.waitingFor}${until}`
}
