// A network of machines inside this one: a network namespace for each peer, on virtual switches between which their cables can be moved.
// A partition is then what it is in life: packets vanish and nobody is told.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'

/** Says in the inner process that it has its own namespaces. */
const INSIDE = 'MURMUR_CHAOS_INSIDE'
const SWITCHES = 2

export interface Lan {
  address(machine: number): string
  /** A command line that runs `command` on a machine. */
  on(machine: number, command: readonly string[]): [string, ...string[]]
  /** Cuts these machines off from the rest. */
  partition(group: readonly number[]): void
  heal(): void
}

/**
 * Runs this script again in namespaces of its own (as root within a user namespace where the user is not root), and exits as it does.
 * Returns in the inner one. Whatever way it ends, the kernel then ends its processes and takes down its networks.
 */
export async function insideNamespaces(): Promise<void> {
  if (process.env[INSIDE] !== undefined) return
  const user = process.getuid?.() === 0 ? [] : ['--map-root-user']
  const spaces = [...user, '--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child']
  const child = spawn('unshare', [...spaces, process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  })
  // Ctrl-C reaches the inner process through the terminal; a supervisor's signal only us.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGKILL'))
  child.once('error', () => {
    console.error('unshare(1) is needed: the machines of this test are network namespaces of Linux.')
    process.exit(1)
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  process.exit(code ?? 1)
}

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })

/** Machines 1 to `machines`, all on the first switch. To be called inside namespaces of its own. */
export function createLan(machines: number): Lan {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run'])
  execFileSync('mkdir', ['-p', '/run/netns'])
  ip('link', 'set', 'lo', 'up')
  for (let i = 0; i < SWITCHES; i++) {
    // Cables carry at once: there are no loops to look for.
    ip('link', 'add', `switch${i}`, 'type', 'bridge', 'forward_delay', '0', 'stp_state', '0')
    ip('link', 'set', `switch${i}`, 'up')
  }
  const address = (machine: number) => `10.77.0.${machine}`
  const all = Array.from({ length: machines }, (_, i) => i + 1)
  for (const machine of all) {
    const name = `m${machine}`
    ip('netns', 'add', name)
    ip('link', 'add', `cable${machine}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    ip('link', 'set', `cable${machine}`, 'master', 'switch0', 'up')
    ip('-n', name, 'address', 'add', `${address(machine)}/24`, 'dev', 'eth0')
    ip('-n', name, 'link', 'set', 'eth0', 'up')
    ip('-n', name, 'link', 'set', 'lo', 'up')
  }
  const plug = (machine: number, into: number) => ip('link', 'set', `cable${machine}`, 'master', `switch${into}`)
  return {
    address,
    on: (machine, command) => ['nsenter', `--net=/run/netns/m${machine}`, ...command],
    partition(group) {
      for (const machine of group) plug(machine, 1)
    },
    heal() {
      for (const machine of all) plug(machine, 0)
    },
  }
}
