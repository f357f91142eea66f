// One peer of the chaos test: a real `murmur` process on a machine of its own, which may be killed, started again and paused, and what
// has been seen of it through all of that.
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { PeerEvent } from '../../node/events.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { Lan } from './lan.ts'

const entry = fileURLToPath(new URL('../../node/murmur.mjs', import.meta.url))
/** How long a stopped peer may take before it counts as hanging. */
const STOP_MILLIS = 15_000

type EventOf<T extends PeerEvent['type']> = Extract<PeerEvent, { type: T }>

/** What one process used from its first round on, a sample every few seconds. */
export interface Usage {
  rss: number[]
  descriptors: number[]
}

export interface Member {
  index: number
  /** How it misbehaves; undefined where it is honest. */
  misbehaves: string | undefined
  id: PeerId
  /** Authors of the inputs of each aggregated round. */
  rounds: Map<number, PeerId[]>
  /** Mean validation accuracy after a round. */
  accuracies: Map<number, number>
  testAccuracy: number | undefined
  shutOut: Set<PeerId>
  /** How often something was not taken, by code, by the peer it came from and by its author. */
  rejected: { code: EventOf<'rejected'>['code']; from?: PeerId; author?: PeerId; count: number }[]
  connected: number
  jumps: number
  kills: number
  pauses: number
  /** The process of each start. */
  usage: Usage[]
  /** Milliseconds of the longest time in which it was ready, ran and said nothing. */
  longestSilence: number
  /** Waits in which it did not say for what. */
  silentWaits: number
  /** Why it ended, where nobody had ended it. */
  died: string | undefined
  joinLine: string | undefined
  /** The last thing it said. */
  said: string
  start(args: readonly string[]): void
  kill(): Promise<void>
  pause(): void
  resume(): void
  /** False where it had to be ended by force. */
  stop(): Promise<boolean>
  /** Looks at the process. */
  sample(): void
}

/** `onEvent` runs after an event has been noted. */
export function createMember(lan: Lan, index: number, misbehaves: string | undefined, onEvent: (event: PeerEvent) => void): Member {
  let child: ChildProcess | undefined
  let command: readonly string[] = []
  let paused = false
  let ready = false
  let working = false
  let heard = performance.now()
  let complaint = ''

  /** Since it last said something; before it is ready it reads data and compiles, and its machine may be busy with eleven others. */
  const silence = () => (ready && !paused ? performance.now() - heard : 0)

  function hear(): void {
    member.longestSilence = Math.max(member.longestSilence, silence())
    heard = performance.now()
  }

  function note(event: PeerEvent): void {
    switch (event.type) {
      case 'ready':
        member.id = event.peer
        member.joinLine = event.joinLine
        ready = true
        break
      case 'aggregated':
        working = true
        member.rounds.set(
          event.round,
          event.inputs.map(({ author }) => author),
        )
        break
      case 'evaluated':
        if (event.split === 'test') member.testAccuracy = event.accuracy
        else member.accuracies.set(event.round, event.accuracy ?? 0)
        break
      case 'equivocation':
        member.shutOut.add(event.author)
        break
      case 'rejected':
        count(event)
        break
      case 'peers':
        member.connected = event.connected
        break
      case 'jumped':
        member.jumps++
        break
      case 'health':
        if (working) member.usage.at(-1)?.rss.push(event.rssBytes)
        break
      case 'phase':
        if ((event.phase === 'waiting' || event.phase === 'gathering') && event.waitingFor === undefined) member.silentWaits++
        break
    }
  }

  function count({ code, from, author }: EventOf<'rejected'>): void {
    const known = member.rejected.find((entry) => entry.code === code && entry.from === from && entry.author === author)
    if (known !== undefined) known.count++
    else member.rejected.push({ code, count: 1, ...(from && { from }), ...(author && { author }) })
  }

  function launch(): void {
    const [program, ...args] = lan.on(index, [process.execPath, entry, ...command])
    const started = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: '' } })
    child = started
    ready = false
    working = false
    member.usage.push({ rss: [], descriptors: [] })
    createInterface({ input: started.stdout }).on('line', (line) => {
      hear()
      if (!line.startsWith('{')) return
      const event = JSON.parse(line) as PeerEvent
      if (event.type === 'phase') member.said = JSON.stringify(event)
      note(event)
      onEvent(event)
    })
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      hear()
      complaint = (complaint + text).slice(-3000)
      member.said = complaint.trim().split('\n').at(-1) ?? ''
    })
    started.once('exit', (code, signal) => {
      // Whoever ends a peer on purpose forgets it first.
      if (child === started) member.died = `${signal ?? `code ${code}`}: ${complaint.trim()}`
    })
  }

  const member: Member = {
    ...{ index, misbehaves, id: '', rounds: new Map(), accuracies: new Map(), testAccuracy: undefined, shutOut: new Set() },
    ...{ rejected: [], connected: 0, jumps: 0, kills: 0, pauses: 0, usage: [], longestSilence: 0, silentWaits: 0 },
    ...{ died: undefined, joinLine: undefined, said: '' },
    start(args) {
      if (args.length > 0) command = args
      launch()
    },
    async kill() {
      const victim = child
      if (victim === undefined) return
      child = undefined
      member.kills++
      victim.kill('SIGKILL')
      await ended(victim)
    },
    pause() {
      paused = true
      member.pauses++
      child?.kill('SIGSTOP')
    },
    resume() {
      paused = false
      heard = performance.now()
      child?.kill('SIGCONT')
    },
    async stop() {
      const victim = child
      if (victim === undefined || member.died !== undefined) return true
      child = undefined
      victim.kill('SIGTERM')
      const force = setTimeout(() => victim.kill('SIGKILL'), STOP_MILLIS)
      await ended(victim)
      clearTimeout(force)
      return victim.signalCode !== 'SIGKILL'
    },
    sample() {
      if (child === undefined || member.died !== undefined) return
      member.longestSilence = Math.max(member.longestSilence, silence())
      if (!working) return
      try {
        member.usage.at(-1)?.descriptors.push(readdirSync(`/proc/${child.pid}/fd`).length)
      } catch {
        // It has just ended.
      }
    },
  }
  return member
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise((done) => child.once('exit', done))
}
