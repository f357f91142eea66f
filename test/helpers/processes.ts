// Real `murmur` processes for tests: started, watched through their JSON lines, and always ended with the test.
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { PeerEvent } from '../../node/events.ts'

const entry = fileURLToPath(new URL('../../node/murmur.mjs', import.meta.url))

type EventOf<T extends PeerEvent['type']> = Extract<PeerEvent, { type: T }>

export interface MurmurProcess {
  child: ChildProcess
  events: PeerEvent[]
  /** Everything on stdout and stderr so far. */
  text(): string
  /** The first event of a type, past or future, that fits. */
  event<T extends PeerEvent['type']>(type: T, fits?: (event: EventOf<T>) => boolean, millis?: number): Promise<EventOf<T>>
  /** Resolves with the exit code or signal. */
  exit(millis?: number): Promise<number | string>
}

export function murmur(t: Pick<Test, 'teardown'>, args: string[], env: Record<string, string> = {}): MurmurProcess {
  // The test runner's own loader options are not for the processes under test.
  const child = spawn(process.execPath, [entry, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', ...env },
  })
  const events: PeerEvent[] = []
  const waiting = new Set<() => void>()
  let text = ''
  let code: number | string | undefined
  const wake = () => {
    for (const look of [...waiting]) look()
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    text += `${line}\n`
    if (line.startsWith('{')) events.push(JSON.parse(line) as PeerEvent)
    wake()
  })
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  child.once('close', (exitCode, signal) => {
    code = exitCode ?? signal ?? -1
    wake()
  })
  // Waited for: a process that still writes would fill its directory again while the test removes it.
  t.teardown(async () => {
    child.kill('SIGKILL')
    await until('end', () => code, 10_000)
  })

  /** Settles as soon as `look` finds something, at the latest after `millis`. */
  function until<V>(what: string, look: () => V | undefined, millis: number): Promise<V> {
    return new Promise((done, failed) => {
      const timer = setTimeout(
        () => end(() => failed(new Error(`no ${what} within ${millis} ms from murmur ${args.join(' ')}\n${text.slice(-3000)}`))),
        millis,
      )
      const end = (settle: () => void) => {
        clearTimeout(timer)
        waiting.delete(check)
        settle()
      }
      const check = () => {
        const found = look()
        if (found !== undefined) end(() => done(found))
        else if (code !== undefined && what !== 'exit')
          end(() => failed(new Error(`murmur ${args.join(' ')} ended (${code}) before ${what}\n${text.slice(-3000)}`)))
      }
      waiting.add(check)
      check()
    })
  }

  return {
    child,
    events,
    text: () => text,
    event: (type, fits = () => true, millis = 120_000) =>
      until(
        `${type} event`,
        () => events.find((event): event is EventOf<typeof type> => event.type === type && fits(event as EventOf<typeof type>)),
        millis,
      ),
    exit: (millis = 120_000) => until('exit', () => code, millis),
  }
}

/**
 * A folder for processes of a test. tap removes a folder before it runs a teardown that was registered after it was asked for; one registered
 * before lets all of them, the end of each process, go first.
 */
export function temporaryFolder(t: Test, content: Parameters<Test['testdir']>[0] = {}): string {
  t.teardown(() => {})
  return t.testdir(content)
}

/** Flags of a small, quick network: softmax regression on parts of MNIST, on loopback. */
export const quick = (shard: string): string[] => ['--json', '--data', 'mnist', '--shard', shard, '--listen', '/ip4/127.0.0.1/tcp/0']

export const quickTask = (peers: number, rounds: number): string[] => [
  ...['--model', 'softmax', '--min-peers', String(peers), '--rounds', String(rounds), '--steps', '20'],
  ...['--gather-min-seconds', '1', '--gather-max-seconds', '15', '--rule', 'trimmed-mean', '--test-task'],
]

/** A founder and joiners in directories of their own. */
export async function network(t: Test, peers: number, rounds: number, extra: (i: number) => string[] = () => []) {
  const dir = temporaryFolder(t)
  const founder = murmur(t, ['start', join(dir, '1'), ...quickTask(peers, rounds), ...quick(`1/${peers}`), ...extra(1)])
  const { joinLine } = await founder.event('ready')
  const joinArguments = (i: number) => ['join', joinLine, '--dir', join(dir, String(i)), ...quick(`${i}/${peers}`), ...extra(i)]
  const joiners = Array.from({ length: peers - 1 }, (_, i) => murmur(t, joinArguments(i + 2)))
  return { dir, joinLine, joinArguments, processes: [founder, ...joiners] }
}
