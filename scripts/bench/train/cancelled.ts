// A process that trains until it is cancelled, then ends by itself. Usage: node cancelled.ts abort <ms> | signal
import { setTimeout as sleep } from 'node:timers/promises'
import { isMurmurError } from '../../../protocol/errors.ts'
import { trainerOf } from './trainer-of.ts'

const [how, wait] = process.argv.slice(2)
const controller = new AbortController()
process.once('SIGINT', () => controller.abort())
const { trainer, request } = await trainerOf('mlp', 32)
const training = trainer.train({ ...request, steps: Number.MAX_SAFE_INTEGER, signal: controller.signal })
console.log('training')
if (how === 'abort') {
  await sleep(Number(wait))
  controller.abort()
}
const error = await training.catch((error: unknown) => error)
if (!isMurmurError(error) || error.code !== 'cancelled') throw error
await trainer.stop()
