// Running a script of this folder in a Python that has torch and numpy: $PYTHON, python3, or Debian's with python3-torch.
import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const MAX_OUTPUT = 1 << 28

function findPython(): string {
  const candidates = [process.env.PYTHON, 'python3', '/usr/bin/python3'].filter((python) => python !== undefined)
  const python = candidates.find((python) => spawnSync(python, ['-c', 'import numpy, torch']).status === 0)
  if (python !== undefined) return python
  console.error(
    `No Python with torch and numpy; tried ${candidates.join(', ')}. Set PYTHON to one, or on Debian: apt install python3-torch.`,
  )
  process.exit(1)
}

/** What the script prints. @param input what it reads */
export function runTorch(script: string, args: readonly string[] = [], input = ''): string {
  const file = fileURLToPath(new URL(script, import.meta.url))
  return execFileSync(findPython(), [file, ...args], { encoding: 'utf8', input, maxBuffer: MAX_OUTPUT, stdio: ['pipe', 'pipe', 'inherit'] })
}
