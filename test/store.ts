// All tests of node/store/ in one process: most of their files take longer to load than to run.
import { globSync } from 'node:fs'

for (const file of globSync('store/*.test.ts', { cwd: import.meta.dirname }).sort()) await import(`./${file}`)
