// Finds the baselines on this machine. None is a dependency of the project.
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Baseline } from './cases.ts'
import { type Contestant, nodeContestant, startContestant } from './contestant.ts'

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url))

/**
 * Lets glibc keep what PyTorch frees. By default it gives large blocks back to the system after each step, and PyTorch spends
 * up to three quarters of its time on page faults: a baseline that is easy to beat.
 */
const KEEP_MEMORY = { MALLOC_TRIM_THRESHOLD_: '4000000000', MALLOC_MMAP_THRESHOLD_: '4000000000', MALLOC_TOP_PAD_: '100000000' }

/** How to get what was not found. */
export const HOW_TO_GET: Readonly<Record<Exclude<Baseline, 'torch-default'>, string>> = {
  torch: 'PyTorch: apt install python3-torch libopenblas0-openmp, or set PYTHON to a Python that imports torch',
  'tfjs-wasm':
    'TensorFlow.js: npm install --ignore-scripts @tensorflow/tfjs-{core,layers,backend-wasm} in a folder, and set BENCH_MODULES to it',
  'tfjs-cpu':
    'TensorFlow.js: npm install --ignore-scripts @tensorflow/tfjs-{core,layers,backend-cpu} in a folder, and set BENCH_MODULES to it',
}

/** Starts a baseline's process; undefined where the machine does not have it. torch-default: as people run it. */
export function startBaseline(name: Baseline): Contestant | undefined {
  if (name === 'torch' || name === 'torch-default') {
    const python = [process.env.PYTHON, 'python3', '/usr/bin/python3'].find(importsTorch)
    const script = fileURLToPath(new URL('./torch-baseline.py', import.meta.url))
    return python === undefined ? undefined : startContestant(python, [script], name === 'torch' ? KEEP_MEMORY : {})
  }
  const backend = name.slice('tfjs-'.length)
  const folder = [process.env.BENCH_MODULES, PROJECT].find((folder) => hasTensorFlow(folder, backend))
  return folder === undefined ? undefined : nodeContestant('./tfjs-baseline.ts', backend, folder)
}

function importsTorch(python: string | undefined): boolean {
  if (!python) return false
  try {
    execFileSync(python, ['-c', 'import torch'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function hasTensorFlow(folder: string | undefined, backend: string): boolean {
  if (!folder) return false
  const { resolve } = createRequire(join(folder, 'package.json'))
  try {
    for (const part of ['core', 'layers', `backend-${backend}`]) resolve(`@tensorflow/tfjs-${part}`)
    return true
  } catch {
    return false
  }
}
