// Finds a container engine that works here: docker or podman, with its compose. Run by itself it prints them, or fails.
import { spawnSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'

const works = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0

/** @returns {{ engine: string, compose: string[] } | undefined} */
export function findEngine() {
  if (works('docker', ['info']) && works('docker', ['compose', 'version'])) return { engine: 'docker', compose: ['docker', 'compose'] }
  if (works('podman', ['info']) && works('podman-compose', ['--version'])) return { engine: 'podman', compose: ['podman-compose'] }
  return undefined
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const found = findEngine()
  if (found === undefined) {
    console.error('Neither docker (with compose) nor podman (with podman-compose) runs here.')
    process.exit(1)
  }
  console.log(`${found.engine}, ${found.compose.join(' ')}`)
}
