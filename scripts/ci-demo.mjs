// Runs the demo as `npm start -- --json` does and checks its figures: a trained model, and an undefended run that is ruined.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const { stdout, status } = spawnSync('npm', ['start', '--', '--json'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
  timeout: 300_000,
})
const last = stdout.trim().split('\n').at(-1)
console.log(last)
const result = JSON.parse(last)
const wrong = [
  status !== 0 && `npm start ended with ${status}`,
  result.accuracy < 0.98 && 'accuracy is below 0.98',
  result.worstAccuracy < 0.97 && 'worstAccuracy is below 0.97',
  result.undefendedAccuracy > 0.8 && 'the undefended run is not ruined',
  !existsSync(result.model) && 'the model is missing',
].filter(Boolean)
for (const what of wrong) console.error(what)
process.exit(wrong.length === 0 ? 0 : 1)
