// Measures what a round of 30 peers' models of 100 million parameters takes of memory: the own model and the result, four bytes a parameter
// each, the kernels' rows, and the runtime. Payloads stay in their files; here all peers share one.
// Usage: node scripts/bench/aggregation-memory.ts [millions of parameters]
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAggregator } from '../../node/peer/aggregator.ts'
import { codecOf } from '../../protocol/codec/index.ts'

const PEERS = 30
const length = Number(process.argv[2] ?? 100) * 1_000_000
const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT

const folder = mkdtempSync(join(tmpdir(), 'murmur-bench-'))
try {
  const file = join(folder, 'payload')
  const codec = codecOf('int8')
  const out = openSync(file, 'w')
  const piece = Float32Array.from({ length: 250_112 }, (_, i) => Math.sin(i))
  for (let at = 0; at < length; at += piece.length) writeSync(out, codec.encode(piece.subarray(0, Math.min(piece.length, length - at))))
  closeSync(out)

  const own = new Float32Array(new SharedArrayBuffer(length * FLOAT_BYTES))
  const aggregator = createAggregator()
  const inputs = Array.from({ length: PEERS }, (_, i) => ({ author: `peer-${i}`, payload: { file } }))
  const settings = { rule: 'trimmed-mean', f: 6, codec: 'int8', length, shared: length, maxAbs: 1e6 }
  const { millis } = await aggregator.aggregate({ ...settings, own, inputs })
  await aggregator.stop()
  const most = process.resourceUsage().maxRSS / 1024 / 1024
  console.log(
    `${PEERS} peers x ${length / 1e6}M parameters, int8 in files, trimmed mean: ${most.toFixed(2)} GiB of memory at most, goal 2 GB, in ${(millis / 1000).toFixed(1)} s`,
  )
  process.exitCode = most * 1024 ** 3 < 2e9 ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
