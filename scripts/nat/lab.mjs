// A small internet out of network namespaces: one network where addresses are public, and homes behind routers that translate addresses and let
// nothing in. Run by itself it says whether that can be had here.
import { spawnSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'

const PUBLIC = '45.9.0'
/** The same in every home, as it is in the world: an address from there means nothing here. */
const HOME = '192.168.1'

function run(command, ...args) {
  const { status, error, stderr, stdout } = spawnSync(command, args, { encoding: 'utf8' })
  if (error !== undefined || status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`)
  return stdout
}

/** @returns {string | undefined} why no network namespaces with NAT can be made */
export function whyNot() {
  if (process.platform !== 'linux') return 'network namespaces need Linux'
  if (process.getuid() !== 0) return 'network namespaces need root'
  for (const [command, from] of [
    ['ip', 'iproute2'],
    ['nft', 'nftables'],
  ]) {
    if (spawnSync(command, ['-V'], { stdio: 'ignore' }).error !== undefined) return `the program ${command} is missing (package ${from})`
  }
  const name = `murmur-nat-${process.pid}-try`
  try {
    run('ip', 'netns', 'add', name)
    run(
      'ip',
      'netns',
      'exec',
      name,
      'nft',
      'add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; add rule ip t c masquerade',
    )
    return undefined
  } catch (error) {
    return `the kernel refuses: ${error.message}`
  } finally {
    spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
  }
}

/** An empty internet. Everything it makes has this process's id in its name, and goes with `remove`. */
export function createLab() {
  const made = []
  const inside = (name, ...command) => run('ip', 'netns', 'exec', name, ...command)

  function add(label) {
    const name = `murmur-nat-${process.pid}-${label}`
    run('ip', 'netns', 'add', name)
    made.push(name)
    run('ip', '-n', name, 'link', 'set', 'lo', 'up')
    return name
  }

  const internet = add('internet')
  run('ip', '-n', internet, 'link', 'add', 'internet', 'type', 'bridge')
  run('ip', '-n', internet, 'addr', 'add', `${PUBLIC}.1/24`, 'dev', 'internet')
  run('ip', '-n', internet, 'link', 'set', 'internet', 'up')

  /** A router between the internet and a home with one machine. It changes ports at random, so that no hole can be punched. */
  function addHome(label, number) {
    const router = add(`router-${label}`)
    const machine = add(label)
    run('ip', '-n', router, 'link', 'add', 'outside', 'type', 'veth', 'peer', 'name', label, 'netns', internet)
    run('ip', '-n', internet, 'link', 'set', label, 'master', 'internet', 'up')
    run('ip', '-n', router, 'link', 'add', 'inside', 'type', 'veth', 'peer', 'name', 'lan', 'netns', machine)
    for (const [name, address, device] of [
      [router, `${PUBLIC}.${number}/24`, 'outside'],
      [router, `${HOME}.1/24`, 'inside'],
      [machine, `${HOME}.2/24`, 'lan'],
    ]) {
      run('ip', '-n', name, 'addr', 'add', address, 'dev', device)
      run('ip', '-n', name, 'link', 'set', device, 'up')
    }
    run('ip', '-n', machine, 'route', 'add', 'default', 'via', `${HOME}.1`)
    inside(router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
    inside(
      router,
      'nft',
      `add table ip home
       add chain ip home out { type nat hook postrouting priority 100; }
       add rule ip home out oifname outside masquerade fully-random
       add chain ip home forward { type filter hook forward priority 0; policy drop; }
       add rule ip home forward iifname inside accept
       add rule ip home forward iifname outside ct state established,related accept
       add chain ip home input { type filter hook input priority 0; policy drop; }
       add rule ip home input iifname != outside accept
       add rule ip home input ct state established,related accept`,
    )
    return {
      name: machine,
      publicAddress: `${PUBLIC}.${number}`,
      /** Nothing gets through any more, and nobody is told. */
      cut: () => run('ip', '-n', internet, 'link', 'set', label, 'down'),
      mend: () => run('ip', '-n', internet, 'link', 'set', label, 'up'),
      /** The provider gives the home another address: what was connected is so no longer. */
      move(to) {
        run('ip', '-n', router, 'addr', 'del', `${PUBLIC}.${number}/24`, 'dev', 'outside')
        run('ip', '-n', router, 'addr', 'add', `${PUBLIC}.${to}/24`, 'dev', 'outside')
      },
    }
  }

  return {
    internet,
    publicAddress: `${PUBLIC}.1`,
    homeAddress: `${HOME}.2`,
    addHome,
    remove() {
      for (let name = made.pop(); name !== undefined; name = made.pop()) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
    },
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const why = whyNot()
  console.log(why === undefined ? 'Network namespaces with NAT can be made here.' : `No network namespaces with NAT here: ${why}.`)
  process.exitCode = why === undefined ? 0 : 1
}
