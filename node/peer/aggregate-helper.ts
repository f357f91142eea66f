// A thread that helps the aggregating one; see the team.
import { parentPort, workerData } from 'node:worker_threads'
import { createPerformer, type Job, type Performer, type SharedMemory } from '../../protocol/aggregation/kernels/index.ts'
import { openSources, type Place, type Source } from './aggregate-source.ts'
import { controlOf, takeParts } from './aggregate-team.ts'

export type HelperMessage = { memory: SharedMemory } | { places: Place[] } | { number: number; job: Job } | { stop: true }

const port = parentPort!
const { thread } = workerData as { thread: number }
// Memory is the first that it is told.
let control: Int32Array
let performer: Performer
let sources: Source[] = []

port.on('message', (message: HelperMessage) => {
  if ('job' in message) return takeParts(control, performer, message.number, message.job)
  if ('memory' in message) {
    control = controlOf(message.memory)
    performer = createPerformer(message.memory, thread)
    return
  }
  for (const source of sources) source.close()
  sources = []
  if ('stop' in message) return port.close()
  try {
    sources = openSources(message.places)
  } catch {
    // Without its sources its parts fail, and the thread that gives them out does them itself.
  }
  performer.use(sources)
})
